"""What may deviate from what is expected, as plain data.

A set is a matrix of moves and a budget for each group of moves::

    U = {moves z : 0 <= z <= 1,  sum of z over group g <= budget_g}

and z is 0 or 1 if the set is `whole`. What may deviate both ways has a move up and a move down.
Box, budget, discrete budget and data-correlated sets are of this form.

Two opposed moves of one group cancel in part when both are made. In a set that is not `whole` one
of them alone does the same for less of the budget, so both together add nothing: an entry stays
between -down and up. In a `whole` set at most one of the two is made.

Source: Bertsimas & Sim 2004 (budgets).
"""

from dataclasses import dataclass
from itertools import chain, product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Sparse
from baselines.highs import InfeasibleError
from baselines.programme import Programme, numbers_of
from baselines.robust.corners import Slot, corner_count, corners_of, slots_of
from mmg_env.errors import InputError

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

TOLERANCE: Final = 1e-6  # of membership, in units of the entries
NOTHING: Final = 1e-9  # what a solver takes for 0 in a matrix


@dataclass(frozen=True, eq=False)
class UncertaintySet:
    """What may deviate.

    Attributes:
        moves: (entries, moves) by how much each move in full changes each entry.
        group: (moves,) number of each move's group.
        budget: (groups,) how many moves of a group may be made in full.
        whole: whether a move is made in full or not at all.
    """

    moves: Sparse
    group: Integers
    budget: Array
    whole: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no set.

        Raises:
            InputError: a number of moves or groups does not fit, or a budget is below 0 or NaN.
        """
        if self.group.shape != (self.moves.shape[1],):
            raise InputError(
                f"uncertainty set: group has shape {self.group.shape}; it must be "
                f"({self.moves.shape[1]},), one number per move"
            )
        _check_groups(self.group, self.budget)

    def best(self, gain: Array) -> Array:
        """Return the moves that gain most, (moves,), each gaining for itself.

        Args:
            gain: (moves,) of each move in full.
        """
        z = np.zeros(len(gain))
        left = np.array(self._capacity(), dtype=np.float64)
        for move in np.argsort(-gain, kind="stable"):
            if gain[move] <= 0.0:
                break
            z[move] = min(1.0, left[self.group[move]])
            left[self.group[move]] -= z[move]
        return z

    def limits(self) -> tuple[Sparse, Array]:
        """Return sums of moves, (sums, moves), and what they must not exceed, (sums,).

        These are the budgets; and in a `whole` set, that of opposed moves one is made.
        """
        spent = _membership(self.group, len(self.budget))
        if not self.whole:
            return spent, self.budget
        slots = chain.from_iterable(slots_of(self.moves, self.group, len(self.budget)))
        opposed = np.array([slot.moves for slot in slots if len(slot.moves) > 1], dtype=np.int64)
        either = _membership(np.arange(len(opposed)).repeat(2), len(opposed))
        place = sparse.csr_array(
            (np.ones(opposed.size), (np.arange(opposed.size), opposed.ravel())),
            shape=(opposed.size, len(self.group)),
        )
        rows = sparse.vstack([spent, either @ place], format="csr")
        return rows, np.concatenate([self._capacity(), np.ones(len(opposed))])

    def support(self, direction: Array) -> tuple[float, Array]:
        """Return how far the set reaches in a direction, and (moves,) the moves that reach it.

        Args:
            direction: (entries,) what a unit of each entry counts.
        """
        gain = np.asarray(self.moves.T @ direction)
        z = self.best(gain)
        return float(gain @ z), z

    def contains(self, deviation: Array, tolerance: float = TOLERANCE) -> bool:
        """Say whether a deviation is in the set.

        Args:
            deviation: (entries,).
            tolerance: by how much an entry may miss it.

        Raises:
            InputError: the deviation has another number of entries.
            SolverError: HiGHS found no answer.
        """
        entries, count = self.moves.shape
        if deviation.shape != (entries,):
            raise InputError(f"deviation: shape {deviation.shape}; it must be ({entries},)")
        if not count:
            return bool((np.abs(deviation) <= tolerance).all())
        spent, most = self.limits()
        rows = sparse.vstack([felt(self.moves), spent], format="csr")
        numbers = numbers_of(
            np.zeros(count),
            np.ones(count),
            np.concatenate([deviation - tolerance, np.zeros(len(most))]),
            np.concatenate([deviation + tolerance, most]),
            np.zeros(count),
        )
        solver = Programme("membership", rows, numbers).solver()
        try:
            solver.solve_mip(np.arange(count)) if self.whole else solver.solve_lp()
        except InfeasibleError:
            return False
        return True

    def gauge(self, deviations: Array) -> Array:
        """Return how many times as large the set must be to reach deviations, (deviations,).

        It is 1 on the boundary, and infinite where no moves make the deviation. Moves count as
        continuous, in `whole` sets too.

        Args:
            deviations: (deviations, entries).

        Raises:
            InputError: there is another number of entries.
            SolverError: HiGHS found no answer.
        """
        entries, count = self.moves.shape
        if deviations.ndim != 2 or deviations.shape[1] != entries:
            raise InputError(f"deviations: shape {deviations.shape}; it must be (any, {entries})")
        # The larger set has all moves, and so all budgets, times the last column.
        size = np.minimum(self._capacity(), np.bincount(self.group, minlength=len(self.budget)))
        each = sparse.hstack([sparse.eye_array(count), -np.ones((count, 1))])
        all_of = sparse.hstack([_membership(self.group, len(size)), -size[:, None]])
        exact = sparse.hstack([felt(self.moves), sparse.csr_array((entries, 1))])
        limits = np.zeros(count + len(size))
        free = np.full(count + 1, np.inf)
        numbers = numbers_of(
            np.zeros(count + 1),
            free,
            np.concatenate([np.zeros(entries), limits - np.inf]),
            np.concatenate([np.zeros(entries), limits]),
            np.append(np.zeros(count), 1.0),
        )
        rows = sparse.vstack([exact, each, all_of], format="csr")
        solver = Programme("gauge", rows, numbers).solver()
        found = np.empty(len(deviations))
        for number, deviation in enumerate(deviations):
            solver.set_sides(np.arange(entries), deviation, deviation)
            try:
                found[number] = solver.solve_lp().objective
            except InfeasibleError:
                found[number] = np.inf
        return found

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Draw moves in the set, (count, moves): many use up their budgets, some are vertices.

        Each is a mean of two of which each makes moves in full, drawn at random, as far as a budget
        goes; of `whole` sets it is the first. Half of the time the budget is the group's, else a
        part of it.
        """
        slots = [
            slot for group in slots_of(self.moves, self.group, len(self.budget)) for slot in group
        ]
        ends = [self._drawn(slots, count, rng) for _ in range(2)]
        weight = np.maximum(rng.uniform(-1.0, 1.0, (count, 1)), 0.0) * (not self.whole)
        return np.asarray((1.0 - weight) * ends[0] + weight * ends[1])

    def vertices(self, limit: int) -> Array:
        """Return all vertices of the moves, (vertices, moves), but those with opposed moves.

        In `whole` sets these are all moves that are in the set. Where a budget is not whole, one
        move of its group is made in part.

        Args:
            limit: most vertices that may be listed.

        Raises:
            InputError: there are more.
        """
        groups = slots_of(self.moves, self.group, len(self.budget))
        budget = np.minimum(self._capacity(), [len(slots) for slots in groups])
        count = 1
        for slots, most in zip(groups, budget, strict=True):
            count *= corner_count(slots, float(most))
        if count > limit:
            raise InputError(f"uncertainty set: it has {count} vertices; at most {limit} are asked")
        corners = [list(corners_of(s, float(b))) for s, b in zip(groups, budget, strict=True)]
        z = np.zeros((count, self.moves.shape[1]))
        for row, parts in zip(z, product(*corners), strict=True):
            for moves, sizes in parts:
                row[list(moves)] = sizes
        return z

    def _capacity(self) -> Array:
        """Return the budgets that can be used, (groups,)."""
        return np.floor(self.budget) if self.whole else self.budget

    def _drawn(self, slots: list[Slot], count: int, rng: np.random.Generator) -> Array:
        """Draw moves in full as far as random parts of the budgets go, (count, moves)."""
        group = np.array([slot.group for slot in slots], dtype=np.int64)
        first = np.array([slot.moves[0] for slot in slots], dtype=np.int64)
        last = np.array([slot.moves[-1] for slot in slots], dtype=np.int64)
        size = np.minimum(self._capacity(), np.bincount(group, minlength=len(self.budget)))
        used = np.maximum(rng.random((count, len(size))), rng.random((count, len(size))) < 0.5)
        limit = used * size
        if self.whole:
            limit = np.floor(limit + 1e-9)
        place = np.empty((count, len(slots)))
        for number in range(len(size)):
            at = np.flatnonzero(group == number)
            place[:, at] = rng.random((count, len(at))).argsort(axis=1)
        way = np.where(rng.random((count, len(slots))) < 0.5, first, last)
        z = np.zeros((count, self.moves.shape[1]))
        np.put_along_axis(z, way, np.clip(limit[:, group] - place, 0.0, 1.0), axis=1)
        return z


def box(up: Array, down: Array) -> UncertaintySet:
    """Return the set in which each entry deviates for itself, between -down and up.

    Args:
        up: (entries,) largest deviation upwards, not negative.
        down: (entries,) largest deviation downwards, not negative.

    Raises:
        InputError: as in `budgeted`.
    """
    return budgeted(up, down, np.arange(len(up)), np.ones(len(up)))


def budgeted(
    up: Array, down: Array, group: Integers, budget: Array, whole: bool = False
) -> UncertaintySet:
    """Return the set in which few entries of a group deviate in full, or many in part.

    An entry's move up and its move down count alike; an entry of size 0 does not move. First stand
    all moves up, in the order of the entries, then all moves down.

    Args:
        up: (entries,) size of each entry's deviation upwards, not negative.
        down: (entries,) likewise downwards.
        group: (entries,) number of each entry's group.
        budget: (groups,) how many entries of a group may deviate in full.
        whole: whether an entry deviates in full or not at all.

    Raises:
        InputError: sizes are negative, not finite or of different shapes; a group has no budget, or
            a budget is negative.
    """
    for name, sizes in (("up", up), ("down", down)):
        if sizes.shape != group.shape or sizes.ndim != 1:
            raise InputError(f"{name}: shape {sizes.shape}; it must be {group.shape}, as of group")
        wrong = np.flatnonzero(~(np.isfinite(sizes) & (sizes >= 0.0)))
        if len(wrong):
            raise InputError(
                f"{name}: entry {wrong[0]} is {sizes[wrong[0]]}; it must be finite and at least 0"
            )
    _check_groups(group, budget)
    rise, fall = np.flatnonzero(up > 0.0), np.flatnonzero(down > 0.0)
    entry = np.concatenate([rise, fall])
    size = np.concatenate([up[rise], -down[fall]])
    shape = (len(up), len(entry))
    moves = sparse.csr_array((size, (entry, np.arange(len(entry)))), shape=shape)
    return UncertaintySet(moves, group[entry], budget, whole)


def _check_groups(group: Integers, budget: Array) -> None:
    """Refuse groups without a budget, and budgets that are none."""
    if budget.ndim != 1 or not (budget >= 0.0).all():
        raise InputError(f"budget: {budget}; it must be a list of numbers that are at least 0")
    if len(group) and not (group.min() >= 0 and group.max() < len(budget)):
        raise InputError(
            f"group: {group.min()}..{group.max()}; it must lie in 0..{len(budget) - 1}, "
            "for there are so many budgets"
        )


def _membership(group: Integers, groups: int) -> Sparse:
    """Return (groups, moves) 1 where a move is of a group."""
    ones, moves = np.ones(len(group)), np.arange(len(group))
    return sparse.csr_array((ones, (group, moves)), shape=(groups, len(group)))


def felt(matrix: Sparse) -> Sparse:
    """Return a matrix without what is no more than rounding."""
    found = sparse.csr_array(matrix, copy=True)
    found.data[np.abs(found.data) <= NOTHING] = 0.0
    found.eliminate_zeros()
    return found
