"""One step of the environment in one compiled call: decode, simulate, observe.

Everything that a step reads and writes lies in one block of memory per episode, because handing
an array to compiled code costs 50 ns; `sections` says where each array begins and how it is cut.

Source: our choice.
"""

from enum import auto

import numpy as np
from numpy.typing import NDArray

from mmg_env.actions import ActionCodec
from mmg_env.compilation import jit
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
    slots = auto()
    gain = auto()
    offset = auto()
    hourly = auto()
    observed = auto()
    observed_per_unit = auto()
    block_size = auto()
    values = auto()
    requests = auto()
    states = auto()
    flows = auto()
    ledger = auto()


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
            M.slots: actions.slots[None],
            M.gain: actions.gain[None],
            M.offset: actions.offset[None],
            M.hourly: np.array([[np.count_nonzero(~actions.day_ahead)]]),
            M.observed: observations.state_index[None],
            M.observed_per_unit: observations.state_per_unit[None],
            M.block_size: np.array([[system.block_size]]),
            M.values: episode.values,
        }
        shapes = {section: array.shape for section, array in given.items()} | {
            M.requests: (steps, system.request_size),
            M.states: (steps + 1, system.state_size),
            M.flows: (steps * count, len(F)),
            M.ledger: (steps * count, len(L)),
        }
        sizes = [shapes[section][0] * shapes[section][1] for section in M]
        offsets = np.cumsum([0, *sizes])
        self.block: Array = np.zeros(offsets[-1])
        self.sections = np.array([(o, *shapes[s]) for o, s in zip(offsets, M, strict=False)])
        for section, array in given.items():
            self.view(section)[:] = array
        reset_state(system.physics, self.view(M.states)[0])

    def view(self, section: M) -> Array:
        """Return a section as a writable two-dimensional view."""
        offset, rows, columns = self.sections[section]
        return self.block[offset : offset + rows * columns].reshape(rows, columns)


@jit
def _section(block, sections, section):
    """Return a section of the memory."""
    offset, rows, columns = sections[section, 0], sections[section, 1], sections[section, 2]
    return block[offset : offset + rows * columns].reshape(rows, columns)


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
        request[int(slots[0, i])] = gain[0, i] * float(vector[i]) + offset[0, i]


@jit
def observe(block, sections, exogenous_part, t, observation):
    """Write the observation at the start of step t."""
    index = _section(block, sections, M.observed)
    per_unit = _section(block, sections, M.observed_per_unit)
    states = _section(block, sections, M.states)
    segments = sections[M.wear, 2]
    size = int(_section(block, sections, M.block_size)[0, 0])
    observe_state(states[t], segments, size, index[0], per_unit[0], observation)
    first = index.shape[1]
    observation[first:] = exogenous_part[t]


@jit
def advance(block, sections, exogenous_part, t, vector, observation):
    """Play step t with a normalised action; write the next observation; return the real cost.

    Returns NaN, with nothing written, if an entry of the action is not finite.
    """
    if not is_finite(vector):
        return np.nan
    requests = _section(block, sections, M.requests)
    world = _section(block, sections, M.world)[0]
    # Commitments come last in a vector and are read at a day's first step only.
    count = vector.shape[0]
    if t % int(world[W.steps_per_day]) > 0:
        count = int(_section(block, sections, M.hourly)[0, 0])
    slots = _section(block, sections, M.slots)
    gain, offset = _section(block, sections, M.gain), _section(block, sections, M.offset)
    decode_into(vector, count, slots, gain, offset, requests[t])
    table = _section(block, sections, M.table)
    physics = Physics(world, table, _section(block, sections, M.wear))
    states = _section(block, sections, M.states)
    flows = _section(block, sections, M.flows)
    ledger = _section(block, sections, M.ledger)
    first, last = t * table.shape[0], (t + 1) * table.shape[0]
    values = _section(block, sections, M.values)
    cost = step_hour(
        physics,
        t,
        values,
        requests[t],
        states[t],
        states[t + 1],
        flows[first:last],
        ledger[first:last],
    )
    observe(block, sections, exogenous_part, t + 1, observation)
    return cost
