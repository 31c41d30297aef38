"""One episode in play, and the `info` that is computed from it where somebody looks.

Source: our choice.
"""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmg_env.actions import ActionCodec
from mmg_env.episode import Episode
from mmg_env.hour import EpisodeMemory, M
from mmg_env.layout import PROJECTED, PROJECTED_KW, F, L
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


class StepInfo(dict[str, Any]):
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

    def __missing__(self, key: str) -> Any:
        """Compute one of the known keys."""
        value = self._compute(key)
        self[key] = value
        return value

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
                return self._constraints(flows)
        raise KeyError(key)

    def _constraints(self, flows: dict[str, Array]) -> dict[str, float]:
        dt_h = self._run.system.dt_h
        moved = [flows[name].sum() for name in PROJECTED_KW]
        return {
            "unserved_kwh": float(flows["unserved_kw"].sum()) * dt_h,
            "unserved_heat_kwh": float(flows["unserved_heat_kw"].sum()) * dt_h,
            "spill_kwh": float(flows["spill_kw"].sum()) * dt_h,
            "projection_kw": float(sum(moved)),
        }

    def _known(self) -> tuple[str, ...]:
        after_step = ("ledger", "flows", "projection", "constraints") if self._t > 0 else ()
        return ("public", "label", *after_step)

    def _fill(self) -> None:
        for key in self._known():
            if not super().__contains__(key):
                self[key] = self._compute(key)

    def __contains__(self, key: object) -> bool:
        """Return whether a key is there or can be computed."""
        return super().__contains__(key) or key in self._known()

    def __iter__(self) -> Iterator[str]:
        """Iterate over all keys."""
        self._fill()
        return super().__iter__()

    def __len__(self) -> int:
        """Return the number of keys."""
        self._fill()
        return super().__len__()

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or default where there is none."""
        return self[key] if key in self else default  # noqa: SIM401  # computes

    def keys(self) -> Any:
        """Return all keys."""
        self._fill()
        return super().keys()

    def values(self) -> Any:
        """Return all values."""
        self._fill()
        return super().values()

    def items(self) -> Any:
        """Return all pairs."""
        self._fill()
        return super().items()

    def __copy__(self) -> dict[str, Any]:
        """Return a plain dict with all keys."""
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        """Return a plain dict with copies of all values."""
        return deepcopy(self.copy(), memo)

    def copy(self) -> dict[str, Any]:
        """Return a plain dict with all keys."""
        self._fill()
        return dict(super().items())

    def __or__(self, other: Any) -> Any:
        """Return the union as a plain dict."""
        return self.copy() | other

    def __ror__(self, other: Any) -> Any:
        """Return the union as a plain dict."""
        return other | self.copy()

    def __eq__(self, other: object) -> bool:
        """Return whether all keys and values are equal."""
        return bool(self.copy() == other)

    def __ne__(self, other: object) -> bool:
        """Return whether any key or value differs."""
        return not self == other

    def __repr__(self) -> str:
        """Show all keys and values."""
        return repr(self.copy())

    def pop(self, key: str, *default: Any) -> Any:
        """Remove a key and return its value."""
        self._fill()
        return super().pop(key, *default)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a plain dict without `public`: it would cross to another process every step."""
        self._fill()
        return (dict, ({k: v for k, v in self.copy().items() if k != "public"},))
