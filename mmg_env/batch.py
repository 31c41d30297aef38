"""Many communities of one system side by side, stepped in one compiled call.

Every slot of a batch lives through an episode of its own, at a step of its own. The physics and the
observation are those of a single community, called in a loop. What a step writes lies in arrays
over slots that the next step writes again; observations and costs are new arrays each time.

Source: our choice.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mmg_env.actions import ActionCodec
from mmg_env.bank import Bank
from mmg_env.compilation import jit, jit_without_lock
from mmg_env.hour import copy_row, decode_into, is_finite
from mmg_env.kernel import move_hour, reset_state
from mmg_env.layout import F, L, W
from mmg_env.observation import ObservationCodec, observe_state
from mmg_env.system import System

Array = NDArray[np.float64]
Observations = NDArray[np.float32]
Integers = NDArray[np.int64]


class Batch:
    """Communities of one system, an episode each.

    Attributes:
        system: the system.
        actions: how an action vector is read.
        observations: how an observation is written.
        bank: the episodes.
        t: (slots,) the step that each slot is about to play; the number of steps where its episode
            is over.
    """

    def __init__(
        self, system: System, slots: int, kept: int = 0, threads: int = 1, bank: Bank | None = None
    ) -> None:
        """Set up; nothing is in play.

        Args:
            system: the system.
            slots: number of communities.
            kept: how many episodes are kept once they have been asked for (see `Bank`).
            threads: threads that share the slots.
            bank: another batch's episodes, to live through the same; None for a bank of its own.
        """
        self.system = system
        self.actions = ActionCodec(system)
        self.observations = ObservationCodec(system)
        self.bank = bank or Bank(system, self.observations, slots, kept)
        self.t: Integers = np.full(slots, system.episode_steps)
        self._row: Integers = np.zeros(slots, np.int64)
        participants = len(system.participants)
        self._states: Array = np.zeros((slots, system.state_size))
        self._flows: Array = np.zeros((slots, participants, len(F)))
        self._ledger: Array = np.zeros((slots, participants, len(L)))
        self._initial: Array = np.zeros(system.state_size)
        reset_state(system.physics, self._initial)
        self._codec: Array = np.stack([self.actions.slots, self.actions.gain, self.actions.offset])
        hourly = np.count_nonzero(~self.actions.day_ahead)
        sizes = (hourly, system.segments, system.block_size)
        self._counts: Integers = np.array(sizes, dtype=np.int64)
        self._shown = (self.observations.state_runs, self.observations.state_per_unit)
        parts = np.array_split(np.arange(slots), min(threads, slots))
        self._shares = [(int(part[0]), int(part[-1]) + 1) for part in parts]
        self._requests: Array = np.zeros((len(parts), system.request_size))
        self._pool = ThreadPoolExecutor(len(parts)) if len(parts) > 1 else None

    def __len__(self) -> int:
        """Return the number of slots."""
        return len(self.t)

    @property
    def states(self) -> Array:
        """State of each slot, (slots, state_size); the next step writes it anew."""
        return _read_only(self._states)

    @property
    def flows(self) -> Array:
        """What happened in the last step, (slots, participants, len(F)); zero after a reset."""
        return _read_only(self._flows)

    @property
    def ledger(self) -> Array:
        """Money of the last step, (slots, participants, len(L)); zero after a reset."""
        return _read_only(self._ledger)

    def begin(self, slots: Integers, rows: Integers) -> None:
        """Begin the episodes that stand in rows of the bank.

        Args:
            slots: which slots.
            rows: (len(slots),) what each lives through.
        """
        self.t[slots] = 0
        self._row[slots] = rows
        self._states[slots] = self._initial
        self._flows[slots] = 0.0
        self._ledger[slots] = 0.0

    def observe(self) -> Observations:
        """Return what every slot shows at the start of its step, (slots, entries)."""
        observations = self._empty()
        shown = (self._counts, self._shown, self.bank.parts, self._row, self.t, self._states)
        _observe_all(*shown, observations)
        return observations

    def step(self, actions: NDArray[np.floating]) -> tuple[Observations, Array]:
        """Play one step of every slot whose episode is not over; the others stay as they are.

        Args:
            actions: (slots, entries) in [-1, 1]; float64 is computed in float64.

        Returns:
            Observations (slots, entries), and real costs (slots,) in currency: 0 where nothing was
            played.

        Raises:
            InputError: an entry is not a finite number; nothing was played.
        """
        if not is_finite(actions.reshape(-1)):
            for action in actions:
                self.actions.check(np.asarray(action, dtype=np.float64))
        observations, costs = self._empty(), np.zeros(len(self))
        given = (self.system.physics, self._codec, self._counts, self._shown)
        episodes = (self.bank.values, self.bank.parts, self._row, self.t)
        written = (self._states, self._flows, self._ledger, observations, costs)
        rest = (*given, *episodes, *written)
        if self._pool is None:
            _advance_all(0, len(self), actions, self._requests[0], *rest)
        else:
            pairs = zip(self._shares, self._requests, strict=True)
            shares = [partial(_advance_all, *s, actions, r, *rest) for s, r in pairs]
            started = [self._pool.submit(share) for share in shares]
            for running in started:
                running.result()
        return observations, costs

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _empty(self) -> Observations:
        return np.empty((len(self), self.observations.size), np.float32)


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


@jit
def _show(counts, shown, parts, row, t, state, observation):
    """Write the observation of one slot at the start of step t."""
    runs, per_unit = shown
    features = observe_state(state, counts[1], counts[2], runs, per_unit, observation)
    copy_row(parts[t, row], observation[features:])


@jit_without_lock
def _observe_all(counts, shown, parts, row, t, states, observations):
    """Write the observations of all slots."""
    for k in range(t.shape[0]):
        _show(counts, shown, parts, row[k], t[k], states[k], observations[k])


@jit_without_lock
def _advance_all(
    first,
    last,
    vectors,
    request,
    physics,
    codec,
    counts,
    shown,
    values,
    parts,
    row,
    t,
    states,
    flows,
    ledger,
    observations,
    costs,
):
    """Play one step of the slots first..last - 1; a slot whose episode is over stays as it is."""
    steps, day = values.shape[1], int(physics.world[W.steps_per_day])
    for k in range(first, last):
        if t[k] < steps:
            # Commitments come last in a vector and are read at a day's first step only.
            count = vectors.shape[1] if t[k] % day == 0 else counts[0]
            decode_into(vectors[k], count, codec[0], codec[1], codec[2], request)
            flows[k] = 0.0
            ledger[k] = 0.0
            costs[k] = move_hour(
                physics, t[k], values[row[k]], request, states[k], flows[k], ledger[k]
            )
            t[k] += 1
        _show(counts, shown, parts, row[k], t[k], states[k], observations[k])
