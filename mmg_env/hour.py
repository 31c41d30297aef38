"""One step of the environment in one compiled call: decode, simulate, observe.

Everything that a step reads and writes lies in one block of memory per episode, because handing
an array to compiled code costs 50 ns; `sections` says where each array begins and how it is cut.

Source: our choice.
"""

from enum import auto

import numpy as np
from numpy.typing import NDArray

from mmg_env.actions import ActionCodec
from mmg_env.compilation import jit, jit_with_arrays
from mmg_env.episode import Episode
from mmg_env.kernel import Physics, reset_state, step_hour
from mmg_env.layout import Columns, F, L, W
from mmg_env.observation import ObservationCodec, observe_state
from mmg_env.system import System

Array = NDArray[np.float64]


class M(Columns):
    """Sections of the memory."""

    world = auto()
    table = auto()
    wear = auto()
    codec = auto()
    runs = auto()
    per_unit = auto()
    values = auto()
    requests = auto()
    states = auto()
    flows = auto()
    ledger = auto()
    counts = auto()  # no array: entries of every hour, length of a participant's block


class EpisodeMemory:
    """One episode's constants, inputs and records in a single block, with named views."""

    def __init__(
        self, system: System, actions: ActionCodec, observations: ObservationCodec, episode: Episode
    ) -> None:
        """Lay out the memory and write what is known at reset."""
        steps, count = episode.steps, len(system.participants)
        given = {
            M.world: system.physics.world[None],
            M.table: system.physics.table,
            M.wear: system.physics.wear,
            M.codec: np.stack([actions.slots, actions.gain, actions.offset]),
            M.runs: observations.state_runs,
            M.per_unit: observations.state_per_unit[None],
            M.values: episode.values,
        }
        shapes = {section: array.shape for section, array in given.items()} | {
            M.requests: (steps, system.request_size),
            M.states: (steps + 1, system.state_size),
            M.flows: (steps * count, len(F)),
            M.ledger: (steps * count, len(L)),
        }
        counts = (np.count_nonzero(~actions.day_ahead), system.block_size)
        sections = [section for section in M if section != M.counts]
        sizes = [shapes[section][0] * shapes[section][1] for section in sections]
        offsets = np.cumsum([0, *sizes])
        self.block: Array = np.zeros(offsets[-1])
        arrays = [(o, *shapes[s]) for o, s in zip(offsets[:-1], sections, strict=True)]
        self.sections = np.array([*arrays, (*counts, 0)])
        for section, array in given.items():
            self.view(section)[:] = array
        reset_state(system.physics, self.view(M.states)[0])

    def view(self, section: M) -> Array:
        """Return a section as a writable two-dimensional view."""
        offset, rows, columns = self.sections[section]
        return self.block[offset : offset + rows * columns].reshape(rows, columns)


@jit_with_arrays
def _rows(block, sections, section, first, count):
    """Return `count` rows of a section from row `first` on."""
    columns = sections[section, 2]
    offset = sections[section, 0] + first * columns
    return block[offset : offset + count * columns].reshape(count, columns)


@jit_with_arrays
def _row(block, sections, section, number):
    """Return one row of a section: a slice, which is much cheaper than a reshape."""
    columns = sections[section, 2]
    offset = sections[section, 0] + number * columns
    return block[offset : offset + columns]


@jit
def is_finite(vector):
    """Return whether every entry is a finite number."""
    wrong = 0
    for i in range(vector.shape[0]):
        wrong += 0 if abs(vector[i]) <= np.finfo(np.float64).max else 1
    return wrong == 0


@jit
def decode_into(vector, count, slots, gain, offset, request):
    """Write the physical values of the first `count` entries of a vector."""
    for i in range(count):
        request[int(slots[i])] = gain[i] * float(vector[i]) + offset[i]


@jit
def copy_row(source, target):
    """Copy a row: an assignment of slices would make a copy first."""
    for i in range(source.shape[0]):
        target[i] = source[i]


@jit_with_arrays
def observe(block, sections, exogenous_part, t, observation):
    """Write the observation at the start of step t."""
    runs = _rows(block, sections, M.runs, 0, sections[M.runs, 1])
    per_unit = _row(block, sections, M.per_unit, 0)
    segments, size = sections[M.wear, 2], sections[M.counts, 1]
    state = _row(block, sections, M.states, t)
    features = observe_state(state, segments, size, runs, per_unit, observation)
    copy_row(exogenous_part[t], observation[features:])


@jit_with_arrays
def advance(block, sections, exogenous_part, t, vector, observation):
    """Play step t with a normalised action; write the next observation; return the real cost.

    Returns NaN, with nothing written, if an entry of the action is not finite.
    """
    if not is_finite(vector):
        return np.nan
    world = _row(block, sections, M.world, 0)
    # Commitments come last in a vector and are read at a day's first step only.
    begins = t % int(world[W.steps_per_day]) == 0
    count = vector.shape[0] if begins else sections[M.counts, 0]
    slots = _row(block, sections, M.codec, 0)
    gain, offset = _row(block, sections, M.codec, 1), _row(block, sections, M.codec, 2)
    request = _row(block, sections, M.requests, t)
    decode_into(vector, count, slots, gain, offset, request)
    participants = sections[M.table, 1]
    physics = Physics(
        world,
        _rows(block, sections, M.table, 0, participants),
        _rows(block, sections, M.wear, 0, participants),
    )
    cost = step_hour(
        physics,
        t,
        _rows(block, sections, M.values, 0, sections[M.values, 1]),
        request,
        _row(block, sections, M.states, t),
        _row(block, sections, M.states, t + 1),
        _rows(block, sections, M.flows, t * participants, participants),
        _rows(block, sections, M.ledger, t * participants, participants),
    )
    observe(block, sections, exogenous_part, t + 1, observation)
    return cost
