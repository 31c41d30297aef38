"""The robust day: commitments for a day of several scenes, against the worst of each.

The first stage is what a day commits to (docs/model.md section 2), and the commitment of the units.
The recourse is the rest; it knows the whole day, so the value is optimistic. Where directions are
decided too, devices run one way at a time, and the recourse has binaries.

Source: Bian & Ji 2025 (multi-scene robust scheduling).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from baselines.compiled import Compiled, Numbers
from baselines.exclusivity import Pairs, find_pairs, one_way
from baselines.extensive_form import committed
from baselines.programme import lengthened, widened
from baselines.robust.problem import RobustProblem, Scene
from baselines.robust.scenes import scene
from baselines.robust.sets import UncertaintySet
from mmg_env.system import System, build_system

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


def alone(system: System, member: int) -> System:
    """Return a system of one member, which has nobody to trade with."""
    config = system.config
    nobody = {"ces": None, "pool": config.pool.model_copy(update={"enabled": False})}
    return build_system(config.model_copy(update={"members": (config.members[member],), **nobody}))


def first_stage(compiled: Compiled, system: System) -> tuple[Integers, Integers]:
    """Return the columns that the first day commits to, and those of them that are 0 or 1."""
    firm = committed(compiled, system)
    units = np.zeros(0, dtype=np.int64)
    if "chp_on" in compiled.columns:
        units = compiled.columns["chp_on"][:, 1 : system.steps_per_day + 1].ravel()
        units = np.sort(units[units >= 0])
    firm[units] = True
    return np.flatnonzero(firm), units


def robust_day(
    system: System,
    compiled: Compiled,
    blocks: Sequence[Numbers],
    rows: Array,
    sets: Sequence[UncertaintySet],
    probability: Array,
) -> RobustProblem:
    """Return the problem of a day whose recourse is linear.

    Args:
        system: whose day it is.
        compiled: the model of a scene.
        blocks: its numbers in each scene.
        rows: (scenes, steps, columns) what is expected in each.
        sets: what may deviate in each.
        probability: (scenes,).
    """
    first, units = first_stage(compiled, system)
    scenes = scenes_of(system, compiled, blocks, rows, sets)
    none = np.zeros(0, dtype=np.int64)
    return RobustProblem(scenes, probability, first, units, none)


def scenes_of(
    system: System,
    compiled: Compiled,
    blocks: Sequence[Numbers],
    rows: Array,
    sets: Sequence[UncertaintySet],
) -> tuple[Scene, ...]:
    """Return the scenes of some expected futures; the arguments are those of `robust_day`."""
    return tuple(
        scene(compiled, numbers, system, expected, uncertain)
        for numbers, expected, uncertain in zip(blocks, rows, sets, strict=True)
    )


def directed(
    problem: RobustProblem, compiled: Compiled, steps: slice = slice(None)
) -> RobustProblem:
    """Return the same problem with devices that never run both ways at once.

    Args:
        problem: its recourse is linear.
        compiled: the model behind it.
        steps: of the model in which directions are decided.
    """
    width = len(problem.scenes[0].programme.lower)
    pairs = find_pairs(compiled, problem.scenes[0].programme.numbers, steps)
    scenes = tuple(_directed(own, pairs) for own in problem.scenes)
    return replace(
        problem, scenes=scenes, recourse_whole=np.arange(width, width + len(pairs.first))
    )


def _directed(own: Scene, pairs: Pairs) -> Scene:
    """Add a binary per pair to a scene."""
    count = len(pairs.first)
    wide = widened(own.programme, np.zeros(count), np.ones(count), np.zeros(count))
    rows, upper = one_way(pairs, len(own.programme.lower))
    programme = lengthened(wide, rows, np.full(2 * count, -np.inf), upper)
    push = own.push.copy()
    push.resize((own.push.shape[0] + 2 * count, own.push.shape[1]))
    return replace(own, programme=programme, push=push)
