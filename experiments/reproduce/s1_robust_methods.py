"""What solves a robust day and how fast, and what its worst case looks like.

Source: loop, heuristic (AOP) and progressive hedging (PH) are those of Bian & Ji 2025; binary
recourse is Zhao & Zeng's (2012), affine rules Ben-Tal et al.'s (2004).
"""

from time import perf_counter
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.robust.adversary import Alternating
from baselines.robust.affine import affine_rules, rules_of_hours
from baselines.robust.day_ahead import directed
from baselines.robust.nested import Nested
from baselines.robust.problem import RobustProblem
from baselines.robust.typical_days import expected_days, model_of
from baselines.solution import Stop
from experiments.reproduce.s1_robust_cases import (
    EXACT_GAP,
    GAP,
    Size,
    Solved,
    community_of,
    exact_of,
    many_scenes,
    member_of,
    proven,
    solve,
    stop_of,
    winter,
)
from mmg_env.system import System

Array = NDArray[np.float64]

NESTED_ROUNDS: Final = 20
LARGE: Final = 50
"""Scenes from which on a loop is stopped after `LARGE_ROUNDS`."""
LARGE_ROUNDS: Final = 2


class Ruled(NamedTuple):
    """What affine rules cost at worst, and how long they took to find.

    Attributes:
        value: currency.
        seconds: s.
    """

    value: float
    seconds: float


class Member(NamedTuple):
    """A member's day, solved in every way.

    Attributes:
        plain: C&CG whose master has all scenes at once.
        hedged: C&CG with progressive hedging.
        binary: with devices that run one way at a time.
        ruled: by affine rules.
        day: the most likely scene and its worst case.
    """

    plain: Solved
    hedged: Solved
    binary: Solved
    ruled: Ruled
    day: "WorstDay"


class WorstDay(NamedTuple):
    """A scene and what deviates in its worst case.

    Attributes:
        scene: its number.
        probability: of it.
        expected: (steps, 4) wind, PV, load, heat, kW.
        worst: (steps, 4) likewise.
    """

    scene: int
    probability: float
    expected: Array
    worst: Array

    @property
    def hit(self) -> NDArray[np.bool_]:
        """(steps, 4) where the adversary deviates."""
        return np.asarray(np.abs(self.worst - self.expected) > 1e-6 * (1.0 + self.expected))


def member_day(member: int, size: Size) -> Member:
    """Solve a member's winter day in every way."""
    system = member_of(size, member)
    problem = winter(system)
    plain = proven(problem, size)
    hedged = solve(problem, stop_of(size), exact_of(problem, size), hedged=True)
    return Member(
        plain,
        hedged,
        one_way(system, size),
        ruled(system, problem, plain.x),
        worst_day(system, problem, plain),
    )


def one_way(system: System, size: Size) -> Solved:
    """Solve a winter day with devices that run one way at a time."""
    problem = directed(winter(system, whole=True), model_of(system))
    nested = Nested(problem, Stop(EXACT_GAP, NESTED_ROUNDS, size.nested_s))
    return solve(problem, stop_of(size), nested)


def ruled(system: System, problem: RobustProblem, x: Array) -> Ruled:
    """Return the best affine rules for the commitments of a decision."""
    began = perf_counter()
    commitment = np.round(x[np.searchsorted(problem.first, problem.whole)])
    found = affine_rules(problem, rules_of_hours(model_of(system), system), commitment)
    return Ruled(found.value, perf_counter() - began)


def worst_day(system: System, problem: RobustProblem, found: Solved) -> WorstDay:
    """Return the worst case of the most likely scene."""
    rows, probability = expected_days(system)
    scene = int(np.argmax(probability))
    series = 4 * len(system.members)
    expected = rows[scene][:, :series]
    deviation = np.asarray(problem.scenes[scene].uncertain.moves @ found.worst[scene])
    moved = deviation[: expected.size].reshape(expected.shape)
    return WorstDay(scene, float(probability[scene]), expected, expected + moved)


def community_day(size: Size) -> Solved:
    """Solve the winter day of all members with their storage and its pool schedule."""
    return proven(winter(community_of(size)), size)


class Contest(NamedTuple):
    """Both masters on the same scenes.

    Attributes:
        scenes: how many.
        plain: all scenes at once.
        hedged: scene by scene.
    """

    scenes: int
    plain: Solved
    hedged: Solved


def contest(member: int, scenes: int, size: Size) -> Contest:
    """Let both masters solve the same problem; the adversary is the heuristic alone."""
    problem = many_scenes(member_of(size, member), scenes)
    rounds = LARGE_ROUNDS if scenes >= LARGE else size.rounds
    stop = Stop(2.0 * GAP, rounds, size.time_s)
    plain, hedged = (solve(problem, stop, None, way, GAP) for way in (False, True))
    return Contest(scenes, plain, hedged)


class Shortfall(NamedTuple):
    """How far the heuristic stays below the worst case, for one first stage.

    Attributes:
        stage: which first stage.
        below: (scenes,) of what the exact search found, relative.
        at_most: (scenes,) of what is proven, relative.
    """

    stage: str
    below: Array
    at_most: Array


def shortfalls(member: int, size: Size) -> list[Shortfall]:
    """Measure the heuristic against the exact search for a few first stages."""
    problem = winter(member_of(size, member))
    exact = exact_of(problem, size)
    found = []
    for stage, x in _stages(problem, member, size).items():
        quick = Alternating(problem)
        scenes = range(len(problem.scenes))
        guess = np.array([quick.worst(s, x, 0.0).value for s in scenes])
        answers = [exact.worst(s, x, 0.0) for s in scenes]
        value = np.maximum([a.value for a in answers], guess)
        bound = np.array([np.inf if a.bound is None else a.bound for a in answers])
        scale = np.maximum(1.0, np.abs(value))
        found.append(Shortfall(stage, (value - guess) / scale, (bound - guess) / scale))
    return found


def _stages(problem: RobustProblem, member: int, size: Size) -> dict[str, Array]:
    """Return the first stages that are tried."""
    system = member_of(size, member)
    decided = proven(problem, size).x
    expected = proven(winter(system, 0.0), size).x
    whole = np.searchsorted(problem.first, problem.whole)
    on, off = decided.copy(), decided.copy()
    on[whole], off[whole] = 1.0, 0.0
    return {
        "robust plan": decided,
        "plan for what is expected": expected,
        "unit always on": on,
        "unit always off": off,
    }
