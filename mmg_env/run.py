"""One episode in play, and the `info` that is computed from it where somebody looks.

Source: our choice.
"""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmg_env.actions import ActionCodec
from mmg_env.episode import Episode
from mmg_env.hour import EpisodeMemory, M
from mmg_env.info import AFTER_STEP, LazyInfo, safety_channel
from mmg_env.layout import PROJECTED, F, L
from mmg_env.observation import ObservationCodec
from mmg_env.public import PublicInfo
from mmg_env.state import State
from mmg_env.system import System

Array = NDArray[np.float64]


class Run:
    """One episode in play: its inputs, its memory, and read-only views of what happened."""

    def __init__(
        self,
        system: System,
        actions: ActionCodec,
        observations: ObservationCodec,
        episode: Episode,
    ) -> None:
        """Lay out the episode."""
        self.system = system
        self.episode = episode
        self.memory = EpisodeMemory(system, actions, observations, episode)
        self.exogenous_part = observations.exogenous_part(episode)

    # Views are made when asked for: a copy of an environment would tear stored ones off the memory.

    @property
    def requests(self) -> Array:
        """Physical wishes, (steps, request_size)."""
        return self._read_only(M.requests)

    @property
    def states(self) -> Array:
        """States, (steps + 1, state_size)."""
        return self._read_only(M.states)

    @property
    def flows(self) -> Array:
        """What happened, (steps, participants, len(F))."""
        return self._read_only(M.flows).reshape(self.episode.steps, -1, len(F))

    @property
    def ledger(self) -> Array:
        """Money, (steps, participants, len(L))."""
        return self._read_only(M.ledger).reshape(self.episode.steps, -1, len(L))

    def _read_only(self, section: M) -> Array:
        view = self.memory.view(section)
        view.flags.writeable = False
        return view

    def public(self, t: int) -> PublicInfo:
        """Return what a policy may know at the start of step t."""
        episode = self.episode
        state = State(self.system, self.states[t])
        return PublicInfo(self.system, t, state, episode.forecast(t), partial(episode.until, t))


class StepInfo(LazyInfo):
    """The `info` of one step, computed where it is looked at.

    Keys: `public` (PublicInfo at the start of the next step), `label` (suite, split, index), and,
    after a step, `ledger` (term -> (participants,) currency), `flows` (name -> (participants,)),
    `projection` (component -> (participants,) distance moved), `constraints` (the safety channel).
    """

    __slots__ = ("_run", "_t")

    def __init__(self, run: Run, t: int) -> None:
        """Remember where to look; t is the step about to begin."""
        self._run = run
        self._t = t

    def _compute(self, key: str) -> Any:
        if key == "public":
            return self._run.public(self._t)
        if key == "label":
            return self._run.episode.label
        if self._t > 0:
            if key == "ledger":
                return dict(zip(L.names(), self._run.ledger[self._t - 1].T, strict=True))
            flows = dict(zip(F.names(), self._run.flows[self._t - 1].T, strict=True))
            if key == "flows":
                return flows
            if key == "projection":
                return {name: flows[name] for name in PROJECTED}
            if key == "constraints":
                channel = safety_channel(self._run.flows[self._t - 1], self._run.system.dt_h)
                return {name: float(amount) for name, amount in channel.items()}
        raise KeyError(key)

    def _known(self) -> tuple[str, ...]:
        return ("public", "label", *(AFTER_STEP if self._t > 0 else ()))
