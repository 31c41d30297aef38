"""How a benchmark's episodes are paid for: what is chosen, and what a record says of it.

Source: our choice; the bargaining is that of `baselines.bargaining.settlement`.
"""

from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from mmg_env.config_checks import known_words
from mmg_env.config_devices import Label, Model
from mmg_env.errors import InputError
from mmg_env.trajectory import Array, Trajectory

if TYPE_CHECKING:
    from baselines.bargaining.settlement import Settled

NONE: Final = "none"
RULES: Final = ("nash",)
POWERS: Final = {"uniform": "equal powers", "contribution": "powers by energy exchanged"}
SURPLUS: Final = "surplus"


class SettlementConfig(Model):
    """How participants share what they save."""

    rule: Literal["nash"] = Field("nash", description="How payments follow from costs.")
    power: Literal["uniform", "contribution"] = Field(
        "uniform", description="Who gets which share of the surplus."
    )
    alone: Label = Field("mpc", description="Policy that everyone plays where nobody trades.")

    @property
    def words(self) -> str:
        """The same as the command line has it."""
        return f"{self.rule},{self.power},{self.alone}"

    @property
    def sentence(self) -> str:
        """The same in words."""
        how = f"Nash bargaining with {POWERS[self.power]}"
        return f"Every episode is paid for by {how}; alone, everyone plays {self.alone}."


def settlement_named(text: str) -> SettlementConfig | None:
    """Return what a text such as `nash`, `nash,contribution` or `nash,uniform,oracle` says.

    Raises:
        InputError: a word is missing or unknown; the known ones are named.
    """
    if text == NONE:
        return None
    words = [word.strip() for word in text.split(",", 2)]
    if not all(words):
        allowed = "it must be none, or nash[,POWER[,POLICY ALONE]]"
        raise InputError(f"--settlement: {text!r} lacks a word; {allowed}")
    given = dict(zip(("rule", "power", "alone"), words, strict=False))
    for name, known in (("rule", RULES), ("power", tuple(POWERS))):
        word = given.get(name, known[-1])
        if word not in known:
            raise InputError(f'--settlement: no {name} "{word}"{known_words(word, known)}')
    return SettlementConfig.model_validate(given)


def paid(
    settlement: SettlementConfig, trajectory: Trajectory, alone: Array, policy: object
) -> "Settled":
    """Return an episode that is paid for.

    Args:
        settlement: how.
        trajectory: the episode.
        alone: (participants,) what it costs where nobody trades, currency.
        policy: who played it; attributes `lies` and `audits` say how it quotes, if it has them.
    """
    from baselines.bargaining.settlement import contributed_power, equal_power, settle

    lies, audits = getattr(policy, "lies", None), float(getattr(policy, "audits", 0.0))
    power = contributed_power if settlement.power == "contribution" else equal_power
    return settle(trajectory.system, trajectory, alone, power, lies, audits)


def accounts(found: "Settled") -> dict[str, float]:
    """Return the columns of a record: the surplus, and each one's final cost and gain."""
    names = found.trajectory.system.participants
    columns = {SURPLUS: found.bargain.surplus}
    for name, final, gain in zip(names, found.final, found.gains, strict=True):
        columns |= {final_cost(name): float(final), gain_of(name): float(gain)}
    return columns


def final_cost(participant: str) -> str:
    """Return the column of what a participant pays in the end."""
    return f"final_cost.{participant}"


def gain_of(participant: str) -> str:
    """Return the column of what a participant gains beside standing alone."""
    return f"gain.{participant}"
