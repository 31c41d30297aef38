"""Agents: policies that were learned, kept as weights and a page of facts, played in NumPy.

A folder holds `agent.json` (what it is, what it was trained on, and how) and `weights.npz` (plain
arrays). Nothing is unpickled, and no learning library is needed to play it::

    action = clip(net(observation))                            kind: network
    action = base + scale * clip(net(observation, base))       kind: residual, base a policy
    action = join(clip(net(part)) for each participant)        kind: team, see `baselines.team`
    action = MPC on a learned forecast                         kind: forecast, see
                                                               `baselines.learned_forecast`

Source: our choice; the residual after Silver et al. 2018 and Johannink et al. 2019.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from baselines.learned_forecast import LearnedForecast
from baselines.team import Team
from mmg_env.actions import ActionCodec
from mmg_env.errors import InputError
from mmg_env.observation import ObservationCodec
from mmg_env.rollout import Policy
from mmg_env.system import System

Array = NDArray[np.float32]

SHIPPED: Final = Path(__file__).parent / "agents"
PREFIX: Final = "agents/"
FACTS: Final = "agent.json"
WEIGHTS: Final = "weights.npz"


class Facts(BaseModel):
    """What an agent's page says.

    Attributes:
        format: version of this page.
        name: of the agent.
        suite: what it was trained on.
        algorithm: how it was trained.
        kind: whether a network is the policy, corrects another, or plays for a team (one for all,
            or one each), or whether a forecast was learned for MPC to plan against.
        base: the policy that is corrected.
        scale: largest correction, as a share of half an entry's range.
        activation: between the layers; absent for a forecast, as are the next two.
        squash: what follows the last layer.
        layers: number of layers.
        interface: hash of what it sees and does, and how often (see `interface_of`).
        training: configuration, seeds, command, figures; for readers only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: str
    suite: str
    algorithm: str
    kind: Literal["network", "residual", "team", "forecast"] = "network"
    base: str = ""
    scale: float = Field(1.0, gt=0.0, le=2.0)
    activation: Literal["tanh", "relu"] = "relu"
    squash: Literal["clip", "tanh"] = "clip"
    layers: int = Field(0, ge=0)
    interface: str
    training: dict[str, Any] = {}


class Network:
    """A multilayer perceptron, or one of the same shape for each agent of a team.

    Attributes:
        layers: (inputs, outputs) weights and (outputs,) biases; with a network per agent
            (agents, inputs, outputs) and (agents, 1, outputs).
        activation: between the layers.
        squash: what follows the last layer.
    """

    def __init__(
        self, layers: list[tuple[Array, Array]], activation: str, squash: str = "clip"
    ) -> None:
        """Hold the layers; nothing is copied."""
        self.layers = layers
        self.activation: Callable[[Array], Array] = np.tanh if activation == "tanh" else _relu
        self.squash: Callable[[Array], Array] = np.tanh if squash == "tanh" else _clip

    def arrays(self) -> dict[str, Array]:
        """Return what is kept of it."""
        kept: dict[str, Array] = {}
        for k, (weight, bias) in enumerate(self.layers):
            kept |= {f"weight_{k}": weight, f"bias_{k}": bias}
        return kept

    def __call__(self, inputs: Array) -> Array:
        """Return the outputs in [-1, 1] of one row of inputs or of many, (..., outputs).

        With a network per agent it is (..., agents, inputs) -> (..., agents, outputs).
        """
        if self.layers[0][0].ndim == 2:
            return self._outputs(inputs)
        rows = inputs.reshape(-1, *inputs.shape[-2:]).swapaxes(0, 1)  # an agent's side by side
        return self._outputs(rows).swapaxes(0, 1).reshape(*inputs.shape[:-1], -1)

    def _outputs(self, values: Array) -> Array:
        for weight, bias in self.layers[:-1]:
            values = self.activation(values @ weight + bias)
        weight, bias = self.layers[-1]
        return self.squash(values @ weight + bias)


def _relu(values: Array) -> Array:
    return np.maximum(values, np.float32(0.0))


def _clip(values: Array) -> Array:
    return np.clip(values, np.float32(-1.0), np.float32(1.0))


Learned = Network | LearnedForecast


class Agent:
    """A learned policy."""

    def __init__(self, network: Network) -> None:
        """Hold the network."""
        self.network = network

    def reset(self, rng: np.random.Generator) -> None:
        """Do nothing: it remembers nothing and draws nothing."""

    def act(self, observation: NDArray[np.float32], info: Mapping[str, Any]) -> NDArray[Any]:  # noqa: ARG002
        """Return the network's action, (entries,)."""
        return self.network(observation)


class ResidualAgent:
    """A learned correction of another policy."""

    def __init__(self, network: Network, base: Policy, scale: float) -> None:
        """Hold the network, the policy that it corrects, and the largest correction."""
        self.network = network
        self.base = base
        self.scale = scale

    def reset(self, rng: np.random.Generator) -> None:
        """Begin the base's episode."""
        self.base.reset(rng)

    def act(self, observation: NDArray[np.float32], info: Mapping[str, Any]) -> NDArray[Any]:
        """Return the base's action, corrected, (entries,)."""
        asked = np.asarray(self.base.act(observation, info), dtype=np.float64)
        seen = np.concatenate([observation, _clip(asked.astype(np.float32))])
        return asked + self.scale * self.network(seen)


class TeamAgent(Agent):
    """All participants on one network or on one each, each on what it alone may see."""

    def __init__(self, network: Network, system: System) -> None:
        """Hold the network or networks and divide the system among its participants."""
        super().__init__(network)
        self.team = Team(system)

    def act(self, observation: NDArray[np.float32], info: Mapping[str, Any]) -> NDArray[Any]:  # noqa: ARG002
        """Return the joint action, (entries,)."""
        return self.team.join(self.network(self.team.split(observation)))


def interface_of(system: System) -> str:
    """Return a hash of what a learner sees and does: the step, names in order, and scales."""
    observations, actions = ObservationCodec(system), ActionCodec(system)
    seen = [f"{n} {s!r}" for n, s in zip(observations.names, observations.scales, strict=True)]
    done = [f"{entry.name} {entry.low!r} {entry.high!r}" for entry in actions.entries]
    lines = [f"dt_h {system.dt_h!r}", *seen, *done]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def agent_folder(name: str) -> Path:
    """Return where an agent lies: `agents/NAME` is a shipped one, all else a folder's path.

    Raises:
        InputError: there is no agent.
    """
    shipped = SHIPPED / name.removeprefix(PREFIX) if name.startswith(PREFIX) else None
    folder = shipped if shipped is not None and shipped.is_dir() else Path(name)
    if not (folder / FACTS).is_file():
        known = ", ".join(f"{PREFIX}{agent}" for agent in shipped_agents()) or "none"
        raise InputError(f"no agent {name!r}: it is no folder with {FACTS}; shipped: {known}")
    return folder


def shipped_agents() -> list[str]:
    """Return the names of the agents inside the package."""
    return sorted(file.parent.name for file in SHIPPED.glob(f"*/{FACTS}"))


def read_agent(folder: Path) -> tuple[Facts, Learned]:
    """Return an agent's page and what it learned.

    Raises:
        InputError: a file is missing or not what it should be.
    """
    try:
        facts = Facts.model_validate_json((folder / FACTS).read_text(encoding="utf-8"))
        with np.load(folder / WEIGHTS, allow_pickle=False) as kept:
            return facts, _learned(facts, kept)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{folder / FACTS}: {place}: {first['msg']}") from None
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder}: no agent can be read: {error}") from None


def _learned(facts: Facts, kept: Mapping[str, NDArray[Any]]) -> Learned:
    if facts.kind == "forecast":
        return LearnedForecast(kept["weights"])
    layers = [(kept[f"weight_{k}"], kept[f"bias_{k}"]) for k in range(facts.layers)]
    return Network(layers, facts.activation, facts.squash)


def unfit_for(facts: Facts, system: System) -> str:
    """Return what keeps an agent from playing a system, in words; nothing if it can."""
    if facts.interface != interface_of(system):
        return (
            f"the agent {facts.name} was trained on {facts.suite}, and {system.name} has other "
            "observations, actions or steps"
        )
    if facts.kind == "forecast" and system.config.source is None:
        return (
            f"the agent {facts.name} compares forecasts with the climate, and {system.name} has no "
            "`source` to tell it"
        )
    return ""


def fingerprint(folder: Path) -> str:
    """Return a hash of an agent's files."""
    digest = hashlib.sha256()
    for file in (FACTS, WEIGHTS):
        digest.update((folder / file).read_bytes())
    return digest.hexdigest()
