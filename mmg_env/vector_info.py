"""The `info` of a vector environment: arrays over slots, computed where somebody looks.

Every key stands beside a mask `_key` that says for which slots it holds, as Gymnasium's vector
environments give it; where it does not hold, numbers are 0 and objects None.

Source: our choice; the form is Gymnasium's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmg_env.episode import Episode
from mmg_env.errors import InputError
from mmg_env.info import AFTER_STEP, LazyInfo, safety_channel
from mmg_env.layout import PROJECTED, F, L
from mmg_env.public import PublicInfo
from mmg_env.state import State
from mmg_env.system import System

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Moment:
    """What a batch holds at one moment.

    Attributes:
        system: the system.
        episodes: returns what the slots play.
        t: (slots,) the step that each is about to play.
        states: (slots, state_size).
        flows: (slots, participants, len(F)) of the last step.
        ledger: (slots, participants, len(L)) of the last step.
        lasts: returns whether the arrays still hold this moment.
    """

    system: System
    episodes: Callable[[], Sequence[Episode]]
    t: NDArray[np.int64]
    states: Array
    flows: Array
    ledger: Array
    lasts: Callable[[], bool]

    def kept(self) -> "Moment":
        """Return the same moment with arrays of its own."""
        episodes = list(self.episodes())
        arrays = (self.t.copy(), self.states.copy(), self.flows.copy(), self.ledger.copy())
        return Moment(self.system, lambda: episodes, *arrays, lambda: True)


class VectorInfo(LazyInfo):
    """The keys of `StepInfo`, over slots; those that tell of a step where one was played."""

    __slots__ = ("_moment", "_played", "_there")

    def __init__(self, moment: Moment, there: Flags, played: Flags) -> None:
        """Remember where to look.

        Args:
            moment: what the batch holds.
            there: (slots,) of which slots this speaks.
            played: (slots,) which of them have played a step.
        """
        self._moment = moment
        self._there = there
        self._played = played

    def _known(self) -> tuple[str, ...]:
        keys = ("public", "label", *(AFTER_STEP if self._played.any() else ()))
        return tuple(name for key in keys for name in (key, f"_{key}"))

    def _compute(self, key: str) -> Any:
        if key not in self._known():
            raise KeyError(key)
        if key.startswith("_"):
            return (self._played if key[1:] in AFTER_STEP else self._there).copy()
        if not self._moment.lasts():
            raise InputError(
                f"info: {key!r} belongs to a step that is over; read it, or copy the info, before "
                "the next step"
            )
        if key in ("public", "label"):
            return self._objects(self._public if key == "public" else self._label)
        return self._amounts(key)

    def _objects(self, of: Callable[[int, Episode], Any]) -> NDArray[Any]:
        found = np.full(len(self._there), None, dtype=object)
        episodes = self._moment.episodes()
        for slot in np.flatnonzero(self._there).tolist():
            found[slot] = of(slot, episodes[slot])
        return found

    def _label(self, _: int, episode: Episode) -> tuple[str, str, int]:
        return episode.label

    def _public(self, slot: int, episode: Episode) -> PublicInfo:
        t = int(self._moment.t[slot])
        row = self._moment.states[slot].copy()
        row.flags.writeable = False
        state = State(self._moment.system, row)
        past = partial(episode.until, t)
        return PublicInfo(self._moment.system, t, state, episode.forecast(t), past)

    def _amounts(self, key: str) -> dict[str, Any]:
        """Return a table of amounts by name, each beside its mask."""
        moment = self._moment
        if key == "ledger":
            table = {column.name: moment.ledger[:, :, column] for column in L}
        elif key == "flows":
            table = {column.name: moment.flows[:, :, column] for column in F}
        elif key == "projection":
            table = {name: moment.flows[:, :, F[name]] for name in PROJECTED}
        else:
            table = safety_channel(moment.flows, moment.system.dt_h)
        amounts: dict[str, Any] = {}
        for name, values in table.items():
            amounts[name] = values.copy()
            amounts[name][~self._played] = 0.0
            amounts[f"_{name}"] = self._played.copy()
        return amounts
