"""What was agreed, carried out: balanced, and each makes the best of its part.

What participants want at last does not balance to the last watt. So it is moved until it does, each
within what it can do. Then all make the best of their parts one by one, the storage last, which
runs the community and answers for what the others do in the common rows.

Where sending and renting share a link that is full, what is rented shrinks until all can do it.

Source: our choice.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.bargaining.coalition import POOL, RENT, Coalition, telling
from baselines.deterministic import decide
from baselines.exclusivity import Pairs, find_pairs
from baselines.highs import MIP_GAP, InfeasibleError
from baselines.partition import Piece
from baselines.programme import Programme, lengthened, widened

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

BAND: Final = 1e-3  # of the most that a participant does in a common row
SHRUNK: Final = (1.0, 0.99, 0.95, 0.9, 0.75, 0.5, 0.0)  # what is left of rent where it does not fit


def balanced(coalition: Coalition, taken: Array) -> tuple[Array, ...]:
    """Return what participants want to do, moved until the pool balances and rent fits.

    In the pool each moves in proportion to how far it can. Rent, and what flows of it, shrinks.

    Args:
        coalition: whose rows they are.
        taken: (couplings of all participants,) one participant after the other.
    """
    place = [coalition.place(p) for p in range(len(coalition.pieces))]
    row, (low, high) = np.concatenate(place), coalition.limits
    taken = _one_way(coalition, taken, row)
    reach = [_reach(piece) for piece in coalition.pieces]
    least, most = (np.concatenate(side) for side in zip(*reach, strict=True))
    y = np.clip(taken, least, most)
    total = np.bincount(row, y, len(low))
    pool, rent = coalition.among(POOL), coalition.among(RENT)
    lacking = np.where(pool, np.clip(total, low, high) - total, 0.0)[row]
    room = np.where(pool[row], np.where(lacking > 0.0, most - y, y - least), 0.0)
    every = np.bincount(row, room, len(low))[row]
    y = y + lacking * np.divide(room, every, out=np.zeros_like(room), where=every > 0.0)
    fits = min(1.0, *(high[rent] / np.maximum(total[rent], high[rent])), 1.0)
    rented = rent | coalition.among(("balance",))
    y = np.where(rented[row], fits * y, y)
    return tuple(np.split(y, np.cumsum([len(own) for own in place])[:-1]))


def _one_way(coalition: Coalition, taken: Array, row: Integers) -> Array:
    """Return what participants want to do where the storage alone trades with the members.

    In each hour it then either sends or receives, whichever is more; nothing is done the other way.
    """
    used = np.bincount(row, np.abs(taken), len(coalition.common))
    out, back = (coalition.among([name]) for name in ("pool_out_balance", "pool_in_balance"))
    step = coalition.compiled.row_step[coalition.common]
    steps = coalition.compiled.steps
    sent, received = (np.bincount(step[s], used[s], steps) for s in (out, back))
    idle = (out & (sent < received)[step]) | (back & (sent >= received)[step])
    return np.where(idle[row], 0.0, taken)


def _reach(piece: Piece) -> tuple[Array, Array]:
    """Return the least and most that a participant can do in its common rows."""
    programme, columns = telling(piece)
    return programme.lower[columns], programme.upper[columns]


Solve = Callable[[int, Programme], Array]  # of a participant's programme, (its columns,)


def carried_out(
    coalition: Coalition, exchanged: Sequence[Array], price: Array, solve: Solve
) -> list[Array]:
    """Return what each makes of its part, (participants,) of (its columns,).

    What is sent and received stands. What else is in common rows stands up to a band, in which its
    price is paid. Of a nomination everyone may do more or less than it said, and pays the premium
    of that; but the last, who runs the community, answers for what the others do.

    Args:
        coalition: whose day it is.
        exchanged: (participants,) what each does in its common rows.
        price: (couplings,) of the common rows.
        solve: how a participant finds its best.
    """
    for share in SHRUNK:
        try:
            return _one_by_one(coalition, _rented(coalition, exchanged, share), price, solve)
        except InfeasibleError:
            if share == SHRUNK[-1]:
                raise
    raise AssertionError("the last share returns or raises")


def _rented(coalition: Coalition, exchanged: Sequence[Array], share: float) -> list[Array]:
    """Return what each does where of rent and what flows of it only a share is left."""
    rented = coalition.among((*RENT, "balance"))
    return [np.where(rented[coalition.place(p)], share * y, y) for p, y in enumerate(exchanged)]


def _one_by_one(
    coalition: Coalition, exchanged: Sequence[Array], price: Array, solve: Solve
) -> list[Array]:
    """Return what each makes of its part, one after the other."""
    done, rest = [], np.zeros(len(coalition.common))
    premiums = _premiums(coalition)
    for p, (piece, said) in enumerate(zip(coalition.pieces, exchanged, strict=True)):
        place = coalition.place(p)
        if p == len(coalition.pieces) - 1:
            y = np.where(coalition.among(POOL)[place], said, -rest[place])
            programme = _within(piece, y, y, np.zeros(len(y)))
        else:
            programme = _with_part(coalition, p, said, price, premiums)
        x = solve(p, programme)[: len(piece.columns)]
        rest[place] += sparse.csr_array(piece.programme.matrix)[piece.coupled] @ x
        done.append(x)
    return done


def _with_part(
    coalition: Coalition, p: int, said: Array, price: Array, premiums: tuple[Array, Array]
) -> Programme:
    """Return the programme of one who does not run the community, with its part in common rows."""
    piece, place = coalition.pieces[p], coalition.place(p)
    pool, rent, nominated = (
        coalition.among(names)[place] for names in (POOL, RENT, ("deviation",))
    )
    band = np.where(pool, 0.0, BAND * np.abs(said).max(initial=0.0))
    lower = np.where(nominated, -np.inf, said - band)
    upper = np.where(nominated, np.inf, np.where(rent, said, said + band))
    paid = np.where(pool | nominated, 0.0, coalition.system.dt_h * price[place])
    programme = _within(piece, lower, upper, paid)
    if not nominated.any():
        return programme
    at = len(piece.columns) + np.flatnonzero(nominated)
    more, less = (premium[place[nominated]] for premium in premiums)
    return _elastic(programme, at, said[nominated], (more, less))


def _premiums(coalition: Coalition) -> tuple[Array, Array]:
    """Return what more and less than nominated costs per kW, (couplings,) each; 0 elsewhere."""
    free = coalition.among(("deviation",))
    out = np.zeros(len(free)), np.zeros(len(free))
    if free.any():
        step = coalition.compiled.row_step[coalition.common[free]]
        for premium, name in zip(out, ("short_kw", "long_kw"), strict=True):
            premium[free] = coalition.numbers.cost[coalition.compiled.columns[name][step]]
    return out


def _elastic(
    programme: Programme, columns: Integers, wanted: Array, premium: tuple[Array, Array]
) -> Programme:
    """Return a programme in which some columns may leave what is wanted, at a premium per kW.

    Args:
        programme: a participant's.
        columns: (some,).
        wanted: (some,) kW.
        premium: (some,) each, for more and for less.
    """
    count, width = len(columns), programme.matrix.shape[1]
    free = np.zeros(2 * count), np.full(2 * count, np.inf)
    wide = widened(programme, *free, np.concatenate(premium))
    row = np.arange(count)
    at = np.tile(row, 3), np.concatenate([columns, width + row, width + count + row])
    entries = np.repeat([1.0, -1.0, 1.0], count)
    rows = sparse.csr_array((entries, at), shape=(count, width + 2 * count))
    return lengthened(wide, rows, wanted, wanted)


def _within(piece: Piece, least: Array, most: Array, paid: Array) -> Programme:
    """Return a participant's programme where what it does in common rows lies in a range.

    Args:
        piece: the participant's.
        least: (couplings,).
        most: (couplings,).
        paid: (couplings,) for what it does, per kW.
    """
    programme, columns = telling(piece)
    n = programme.numbers
    cost, lower, upper = n.cost.copy(), n.lower.copy(), n.upper.copy()
    cost[columns] = paid
    for bound, wanted in ((lower, least), (upper, most)):
        bound[columns] = np.clip(wanted, n.lower[columns], n.upper[columns])
    return replace(programme, numbers=replace(n, cost=cost, lower=lower, upper=upper))


def upper_cost(coalition: Coalition, exchanged: Sequence[Array], price: Array) -> float:
    """Return the cost where each makes the best of its part, all relaxed, currency.

    The arguments are those of `carried_out`.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    done = carried_out(coalition, exchanged, price, lambda _, own: own.solve().x)
    x = coalition.joint(done)
    return float(coalition.numbers.cost @ x) + coalition.numbers.offset


def exactly(
    coalition: Coalition, exchanged: Sequence[Array], price: Array, gap: float = MIP_GAP
) -> Array:
    """Return what each makes of its part with its units and directions decided, (columns,).

    Args:
        coalition: whose day it is.
        exchanged: (participants,) what each does in its common rows.
        price: (couplings,) of the common rows.
        gap: to which each participant searches.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    compiled, day = coalition.compiled, coalition.system.steps_per_day
    pairs = find_pairs(compiled, coalition.numbers, steps_per_day=day)

    def solve(p: int, programme: Programme) -> Array:
        binary, own = undecided(coalition.pieces[p], compiled.binary, pairs)
        return decide(programme.solver(), programme.numbers, binary, own, gap)[0]

    return coalition.joint(carried_out(coalition, exchanged, price, solve))


def undecided(piece: Piece, binary: Integers, pairs: Pairs) -> tuple[Integers, Pairs]:
    """Return those commitments and directions of the model that are a participant's, in its terms.

    Args:
        piece: the participant's.
        binary: columns of the model that are 0 or 1.
        pairs: of columns of the model.
    """
    own = np.isin(binary, piece.columns)
    place = np.full(1 + max(piece.columns.max(), binary.max(initial=0)), -1)
    place[piece.columns] = np.arange(len(piece.columns))
    return place[binary[own]], pairs.among(piece.columns).placed(place)
