"""A robust day of a community, divided among its participants.

With y[p] what a participant does in the common rows (`coalition`), which is decided before anything
deviates and alike in every scene s::

    min  sum_p R_p(y[p])    subject to    low <= sum_p y[p] <= high
    R_p(y) = min over x_p  sum_s p_s  max over u_p in U_ps  min over v  cost_ps . (x_p, v)
             subject to  x_p, v feasible for p,  what p does in common rows = y

x_p is the first stage of p alone, such as the running of its units. Common rows hold first stage
only, and each budget of a set is of one participant's series. So once y is decided, neither a
recourse nor a budget ties participants together: the worst of the sum is the sum of the worsts, and
the division loses nothing.

Source: Bian & Ji 2025 (P1 over scenes); the division is that of `partition`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.bargaining.coalition import Coalition, owners, telling
from baselines.compiled import Compiled
from baselines.partition import Partition, Piece, partition
from baselines.programme import Programme, held
from baselines.robust.problem import RobustProblem, Scene, others
from baselines.robust.sets import UncertaintySet
from mmg_env.errors import InputError
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

NO_ROWS: Final = np.zeros((0, 0))


@dataclass(frozen=True, eq=False)
class Part:
    """One participant's robust day, of which nobody else knows.

    Attributes:
        problem: its scenes; its first stage holds what it does in common rows.
        exchanged: (its couplings,) the columns that say so, in every scene.
        moves: (scenes,) numbers of its moves among those of the community's scene.
    """

    problem: RobustProblem
    exchanged: Integers
    moves: tuple[Integers, ...]

    @property
    def place(self) -> Integers:
        """Where among the first stage what it does in common rows stands, (its couplings,)."""
        return np.searchsorted(self.problem.first, self.exchanged)

    def fixed(self, exchanged: Array) -> RobustProblem:
        """Return its robust day where what it does in common rows is given, (its couplings,)."""
        scenes = []
        for own in self.problem.scenes:
            numbers = held(own.programme.numbers, self.exchanged, exchanged)
            scenes.append(replace(own, programme=replace(own.programme, numbers=numbers)))
        return replace(self.problem, scenes=tuple(scenes))


@dataclass(frozen=True, eq=False)
class Community:
    """A robust day, divided.

    Attributes:
        problem: of all together.
        form: the first scene, divided; its common rows are those of all scenes.
        parts: (participants,).
    """

    problem: RobustProblem
    form: Coalition
    parts: tuple[Part, ...]

    def decisions(self, own: Sequence[Array]) -> Array:
        """Return the first stage of all together, (decisions,).

        Args:
            own: (participants,) the first stage of each.
        """
        x = np.zeros(self.form.compiled.matrix.shape[1])
        for piece, part, decided in zip(self.form.pieces, self.parts, own, strict=True):
            columns = part.problem.first[: len(decided) - len(part.exchanged)]
            x[piece.columns[columns]] = decided[: len(columns)]
        return x[self.problem.first]

    def moves(self, scene: int, own: Sequence[Array]) -> Array:
        """Return the moves of all together in a scene, (moves,).

        Args:
            scene: its number.
            own: (participants,) the moves of each.
        """
        z = np.zeros(len(self.problem.scenes[scene].least))
        for part, made in zip(self.parts, own, strict=True):
            z[part.moves[scene]] = made
        return z


def divided(system: System, compiled: Compiled, problem: RobustProblem) -> Community:
    """Divide a robust day.

    Args:
        system: whose day it is.
        compiled: the model of a scene.
        problem: of all participants together, as `robust_day` returns it.

    Raises:
        InputError: the recourse has binaries, probability may be moved, a common row holds
            recourse, or a budget is for several participants.
    """
    if len(problem.recourse_whole) or problem.reach is not None:
        raise InputError(
            "robust cooperation: the recourse must have no binaries, and probability must not be "
            "moved; else participants cannot be told apart"
        )
    owner = owners(compiled, system)
    partitions = [partition(own.programme, owner) for own in problem.scenes]
    numbers = replace(problem.scenes[0].programme.numbers, offset=0.0)
    form = Coalition(system, compiled, numbers, NO_ROWS, partitions[0])
    _check_common(form, problem)
    _check_budgets(partitions, problem)
    parts = tuple(_part(problem, partitions, p) for p in range(len(form.pieces)))
    return Community(problem, form, parts)


def _check_common(form: Coalition, problem: RobustProblem) -> None:
    """Refuse common rows that hold recourse."""
    rows = sparse.csr_array(problem.scenes[0].programme.matrix)[form.common]
    columns = np.unique(sparse.coo_array(rows).col)
    if others(rows.shape[1], problem.first)[columns].any():
        raise InputError(
            "robust cooperation: what participants have in common must be decided a day ahead; "
            "take a pool that is scheduled day-ahead, without rental and nomination by the hour"
        )


def _check_budgets(partitions: Sequence[Partition], problem: RobustProblem) -> None:
    """Refuse budgets that several participants share."""
    for parts, own in zip(partitions, problem.scenes, strict=True):
        moves = [_moves(own, piece) for piece in parts.pieces]
        groups = [np.unique(own.uncertain.group[m]) for m in moves]
        every = np.concatenate(groups)
        if len(np.unique(every)) < len(every):
            raise InputError(
                "robust cooperation: a budget of deviations is for several participants; "
                "each needs its own, or the worst of all is not the sum of each one's worst"
            )


def _moves(own: Scene, piece: Piece) -> Integers:
    """Return which moves push a row of a piece."""
    return np.unique(sparse.coo_array(own.push[piece.rows]).col)


def _part(problem: RobustProblem, partitions: Sequence[Partition], participant: int) -> Part:
    """Return one participant's day."""
    pieces = [parts.pieces[participant] for parts in partitions]
    last = participant == len(partitions[0].pieces) - 1
    scenes, moves = [], []
    for piece, own in zip(pieces, problem.scenes, strict=True):
        made = _moves(own, piece)
        # The constant is the community's, which the last participant runs.
        offset = own.programme.numbers.offset if last else 0.0
        scenes.append(_scene(own, piece, made, offset))
        moves.append(made)
    columns, (_, exchanged) = pieces[0].columns, telling(pieces[0])
    first = np.flatnonzero(np.isin(columns, problem.first))
    none = np.zeros(0, dtype=np.int64)
    return Part(
        RobustProblem(
            tuple(scenes),
            problem.probability,
            np.concatenate([first, exchanged]),
            np.flatnonzero(np.isin(columns, problem.whole)),
            none,
        ),
        exchanged,
        tuple(moves),
    )


def _scene(own: Scene, piece: Piece, moves: Integers, offset: float) -> Scene:
    """Return one participant's part of a scene."""
    programme, _ = telling(piece)
    numbers = replace(programme.numbers, offset=offset)
    uncertain = UncertaintySet(
        sparse.csr_array(sparse.csc_array(own.uncertain.moves)[:, moves]),
        own.uncertain.group[moves],
        own.uncertain.budget,
        own.uncertain.whole,
    )
    return Scene(
        Programme(programme.name, programme.matrix, numbers),
        sparse.csr_array(sparse.csc_array(own.push[piece.rows])[:, moves]),
        uncertain,
        own.least[moves],
        own.most[moves],
    )
