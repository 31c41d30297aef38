"""Participants as agents: who decides and sees what, and what each may be told.

Everything follows from the positions that layout and codecs give, never from names.

Source: our choice.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmg_env.actions import Action, ActionCodec, Entry
from mmg_env.errors import InputError
from mmg_env.info import AFTER_STEP, LazyInfo, safety_channel
from mmg_env.layout import PROJECTED, F, L
from mmg_env.observation import CALENDAR, ObservationCodec
from mmg_env.run import Run
from mmg_env.system import System

Array = NDArray[np.float64]
Places = NDArray[np.int64]

SHARED = -1  # whose a feature is that everybody sees


@dataclass(frozen=True, eq=False)
class Part:
    """What is one agent's of the community's action and observation.

    Attributes:
        agent: its name.
        participant: its row in flows and ledger.
        decides: (entries,) where its entries stand in the community's action.
        sees: (features,) where its features stand in the community's observation.
        entries: name, unit and physical range of each entry of its action.
        names: name of each feature of its observation.
        units: unit of the physical quantity behind each.
        scales: (features,) physical value = feature * scale.
    """

    agent: str
    participant: int
    decides: Places
    sees: Places
    entries: tuple[Entry, ...]
    names: tuple[str, ...]
    units: tuple[str, ...]
    scales: Array

    def check(self, action: NDArray[Any]) -> None:
        """Refuse an action of a wrong shape or with a number that is not finite.

        Raises:
            InputError: naming the agent and the shape, or the entry and its value.
        """
        if action.shape != self.decides.shape:
            raise InputError(
                f"action of {self.agent}: shape {action.shape}; it must be "
                f"{self.decides.shape}, one number per entry"
            )
        wrong = np.flatnonzero(~np.isfinite(action))
        if len(wrong):
            i = int(wrong[0])
            raise InputError(
                f"action of {self.agent}: entry {i} ({self.entries[i].name}) is {action[i]}; "
                "every entry must be a finite number"
            )


def divide(actions: ActionCodec, observations: ObservationCodec) -> dict[str, Part]:
    """Return each participant's part of a community's action and observation."""
    system = actions.system
    decided, shown = _deciders(system, actions), _owners(system, observations)
    parts = {}
    for p, name in enumerate(system.participants):
        decides = np.flatnonzero(decided == p)
        sees = np.flatnonzero((shown == p) | (shown == SHARED))
        scales = observations.scales[sees]
        for array in (decides, sees, scales):
            array.flags.writeable = False
        parts[name] = Part(
            agent=name,
            participant=p,
            decides=decides,
            sees=sees,
            entries=tuple(actions.entries[i] for i in decides),
            names=tuple(observations.names[i] for i in sees),
            units=tuple(observations.units[i] for i in sees),
            scales=scales,
        )
    return parts


def operator_of(system: System) -> int:
    """Return the row of the community's operator, `ces`; a row nobody has where there is none."""
    return len(system.members)


def _deciders(system: System, actions: ActionCodec) -> Places:
    """Return which participant decides each entry."""
    sheet = Action.idle(system)
    rows = np.arange(len(system.participants))[:, None]
    sheet.wishes[:], sheet.pool_plan_kw[:] = rows, rows
    sheet.nomination_offset_kw[:] = operator_of(system)
    return np.asarray(sheet.to_request()[actions.slots], dtype=np.int64)


def _owners(system: System, observations: ObservationCodec) -> Places:
    """Return whose each feature is: a participant's row, or SHARED."""
    members, operator = len(system.members), operator_of(system)
    blocks = len(system.participants) * system.block_size
    of_state = []
    for feature in observations.state_features:
        if feature.index < 0:
            of_state.append(-1 - feature.index)
        else:  # what follows the participants' blocks is the nomination
            own = feature.index < blocks
            of_state.append(feature.index // system.block_size if own else operator)
    of_series = [
        f.index % members if f.index < 4 * members else SHARED for f in observations.series
    ]
    common = [SHARED] * (len(CALENDAR) + 2)
    return np.array(of_state + common + of_series * (1 + observations.leads), dtype=np.int64)


class AgentInfo(LazyInfo):
    """The `info` of one agent, computed where it is looked at: its own rows and nobody else's.

    Keys: `label` (suite, split, index), and, after a step, `ledger` (term -> currency), `flows`
    (name -> amount), `projection` (component -> distance moved) and `constraints` (its share of the
    safety channel). There is no `public`: it would show all members to each.
    """

    __slots__ = ("_participant", "_run", "_t")

    def __init__(self, run: Run, t: int, participant: int) -> None:
        """Remember where to look; t is the step about to begin."""
        self._run = run
        self._t = t
        self._participant = participant

    def _flows(self) -> Array:
        """Return what happened to the agent, (len(F),)."""
        flows = self._run.flows[self._t - 1]
        own: Array = flows[self._participant].copy()
        # The kernel notes the nomination's distance with the first participant, whoever chose it.
        chose = self._participant == operator_of(self._run.system)
        own[F.projected_nomination_kw] = flows[0, F.projected_nomination_kw] if chose else 0.0
        return own

    def _compute(self, key: str) -> Any:
        if key == "label":
            return self._run.episode.label
        if key not in self._known():
            raise KeyError(key)
        if key == "ledger":
            own = self._run.ledger[self._t - 1, self._participant]
            return dict(zip(L.names(), own.tolist(), strict=True))
        flows = self._flows()
        if key == "constraints":
            channel = safety_channel(flows[None], self._run.system.dt_h)
            return {name: float(amount) for name, amount in channel.items()}
        named = dict(zip(F.names(), flows.tolist(), strict=True))
        return named if key == "flows" else {name: named[name] for name in PROJECTED}

    def _known(self) -> tuple[str, ...]:
        return ("label", *(AFTER_STEP if self._t > 0 else ()))
