"""The command `mmg perf cooperation`: rounds and seconds in which participants agree (ADMM).

What is agreed after a round is repaired until it balances, everyone makes the best of its part, and
the cost is held against that of the linear programme of all together. Seconds are those of the
rounds alone, one participant after the other on one core.

Where seconds per member grow as a power of the number of members, the power is the slope of a
straight line by least squares::

    log (seconds / members) = exponent * log members + constant

Communities of any size are made of the first members of `large_50` and a storage of their share.
They share the pool alone: nobody rents, and nothing is nominated.

The robust chain uses two threads where participants are apart.

Source: our choice; the paper's ways and parameters are those of Bian & Ji 2025, section 4.3.
"""

from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Final, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from baselines.bargaining.bargain import Bargain, uniform
from baselines.bargaining.carrying_out import balanced, exactly, upper_cost
from baselines.bargaining.coalition import Coalition, coalition_of, costs_of
from baselines.bargaining.cooperation import (
    BEST,
    PAPER,
    agents_of,
    common_price,
    in_parallel,
    in_turns,
)
from baselines.bargaining.pair_prices import PAPER_PER_KWH, settle_in_parallel, settle_in_turns
from baselines.bargaining.robust_cooperation import cooperate_robustly
from baselines.bargaining.robust_parts import divided
from baselines.bargaining.trades import pairs_of, trades_of
from baselines.negotiation import Penalty, Round
from baselines.robust.typical_days import model_of, typical_problem
from experiments.large_50 import MEMBERS, grown, large_50
from mmg_env.config import SystemConfig
from mmg_env.episode import Episode
from mmg_env.splits import nominal_episode, sample_episode
from mmg_env.system import System, build_system, load_system

Array = NDArray[np.float64]

SUITES: Final = ("s1_3mg", "s1_4mg")
SIZES: Final = (3, 5, 10, 20, 50)
QUICK_SIZES: Final = (3, 5)
GAP: Final = 1e-4
SIZE_GAP: Final = 1e-3
"""To which communities of all sizes agree."""
MOST_ROUNDS: Final = 400
EVERY: Final = 5
"""Where sizes are compared, costs are looked at after so many rounds."""
ROUNDS_WANTED: Final = 40
PAYMENT: Final = 1e-4
"""Of each payment: how near the closed form it should be."""
ADAPTIVE: Final = Penalty(rho=0.01, factor=2.0)
WAYS: Final = {
    "in turns, rho .01": (in_turns, PAPER),
    "in turns, adaptive": (in_turns, ADAPTIVE),
    "in parallel": (in_parallel, BEST),
}
HEAD: Final = (
    f"{'community':<12}{'way':<20}{'members':>8}{'rounds':>8}{'seconds':>9}"
    f"{'per member':>12}{'gap':>10}"
)


class Row(NamedTuple):
    """One agreement.

    Attributes:
        community: who agrees.
        way: how.
        members: the storage not counted.
        rounds: until the gap was reached, or all that were allowed.
        seconds: of these rounds, s.
        gap: what the repaired agreement costs more than all together, relative.
        wanted: the gap at which it should end.
    """

    community: str
    way: str
    members: int
    rounds: int
    seconds: float
    gap: float
    wanted: float

    @property
    def closed(self) -> bool:
        """Whether the gap was reached."""
        return self.gap <= self.wanted

    def line(self) -> str:
        """Return the measurement as a line of the table."""
        return (
            f"{self.community:<12}{self.way:<20}{self.members:>8}{self.rounds:>8}"
            f"{self.seconds:>9.3f}{self.seconds / self.members:>12.4f}{self.gap:>10.1e}"
        )


def compare_cooperation(quick: bool = False) -> None:
    """Print how long participants take to agree, on what, and how that grows.

    Args:
        quick: whether one suite and small communities are enough.
    """
    typer.echo(HEAD)
    for suite in SUITES[:1] if quick else SUITES:
        compare_ways(suite)
    sizes = QUICK_SIZES if quick else SIZES
    tell_growth(list(_told(growing(sizes))))
    for suite in () if quick else SUITES:
        tell_chain(suite)


def tell_growth(rows: Sequence[Row]) -> None:
    """Print how seconds per member grow, if that can be said."""
    closed = [row for row in rows if row.closed]
    if len(closed) < 2:
        typer.echo("too few communities agreed to say how seconds per member grow")
        return
    typer.echo(
        f"seconds per member grow with members to the power of {exponent(closed):.2f} "
        f"({closed[0].members} to {closed[-1].members} members, to {SIZE_GAP:g})"
    )


def tell_chain(suite: str) -> None:
    """Print what the robust chain takes on a suite's typical days, and what it comes to."""
    system = load_system(suite)
    found = cooperate_robustly(divided(system, model_of(system), typical_problem(system)))
    spent, alone, together = found.seconds, found.disagreement.sum(), found.cooperation.sum()
    typer.echo(
        f"{suite}, robust: {spent.total:.1f} s (alone {spent.alone:.1f}, agreement "
        f"{spent.agreement:.1f}, bounds {spent.bounds:.1f}, decided {spent.decided:.1f}), "
        f"{len(found.agreed.trace)} rounds, {sum(found.effort.asked)} searches for worst cases; "
        f"alone {alone:.0f}, together {together:.0f}, of which {found.loss:.0f} for units"
    )


def compare_ways(suite: str) -> None:
    """Print all ways of agreeing on a suite's nominal day, what they come to, and payments."""
    system = load_system(suite)
    episode = nominal_episode(system)
    coalition = coalition_of(system, episode)
    rows, agreed = [], None
    for way, (rounds, penalty) in WAYS.items():
        said = rounds(coalition, agents_of(coalition), penalty)
        row, agreed = measured(coalition, said, Row(suite, way, len(system.members), 0, 0, 0, GAP))
        rows.append(row)
        typer.echo(row.line())
    best = min(row.rounds for row in rows if row.closed) if any(r.closed for r in rows) else np.inf
    typer.echo(f"{suite}: at best {best:g} rounds to {GAP:g}  (wanted: at most {ROUNDS_WANTED})")
    assert agreed is not None
    _tell_losses(coalition, episode, agreed)


def measured(
    coalition: Coalition, said: Iterator[Round], row: Row, every: int = 1
) -> tuple[Row, Round]:
    """Measure rounds until the gap is reached.

    Args:
        coalition: whose day it is.
        said: the rounds.
        row: what is measured; rounds, seconds and gap are filled in.
        every: after how many rounds costs are looked at.

    Returns:
        The row, and the last round.

    Raises:
        SolverError: a participant found no optimum.
    """
    least = coalition.relaxed_cost(frozenset(range(len(coalition.pieces))))
    seconds = 0.0
    for number in range(1, MOST_ROUNDS + 1):
        began = perf_counter()
        last = next(said)
        seconds += perf_counter() - began
        if number % every and number < MOST_ROUNDS:
            continue
        exchanged = balanced(coalition, last.taken_kw)
        cost = upper_cost(coalition, exchanged, common_price(coalition, last.price))
        row = row._replace(rounds=number, seconds=seconds, gap=(cost - least) / abs(least))
        if row.closed:
            break
    return row, last


def _tell_losses(coalition: Coalition, episode: Episode, agreed: Round) -> None:
    """Print what is lost where each decides its own units, and how payments are found."""
    exchanged = balanced(coalition, agreed.taken_kw)
    price = common_price(coalition, agreed.price)
    relaxed = upper_cost(coalition, exchanged, price)
    began = perf_counter()
    plan = coalition.plan(exactly(coalition, exchanged, price))
    seconds = perf_counter() - began
    everyone = frozenset(range(len(coalition.pieces)))
    whole = coalition.plan(coalition.solve(everyone)).cost
    name = coalition.system.name
    typer.echo(
        f"{name}: each deciding its own units at a fixed exchange costs "
        f"{100.0 * (plan.cost / relaxed - 1.0):.4f} % more than relaxed, "
        f"{100.0 * (plan.cost / whole - 1.0):.4f} % more than all decided together "
        f"({seconds:.2f} s)"
    )
    alone = costs_of(coalition.plan(coalition.solve(frozenset())))
    bargain = Bargain(alone, costs_of(plan), uniform(len(alone)))
    pairs = pairs_of(trades_of(coalition.system, plan.flows))
    middle = 0.5 * (episode.price_buy + episode.price_sell)
    for way, settle in (("in turns", settle_in_turns), ("in parallel", settle_in_parallel)):
        began = perf_counter()
        found = settle(bargain, pairs, middle)
        seconds = perf_counter() - began
        off = float((np.abs(found.payments - bargain.payments) / np.abs(bargain.payments)).max())
        near = [line.number + 1 for line in found.trace if line.apart_per_kwh <= PAPER_PER_KWH]
        typer.echo(
            f"{name}: payments {way} in {len(found.trace)} rounds and {seconds:.3f} s, each within "
            f"{off:.1e} of the closed form  (wanted: {PAYMENT:g}); the paper's residual of "
            f"{PAPER_PER_KWH:g} after {near[0] if near else 'more'}"
        )


def _told(rows: Iterator[Row]) -> Iterator[Row]:
    """Print rows as they come."""
    for row in rows:
        typer.echo(row.line())
        yield row


def growing(sizes: Sequence[int]) -> Iterator[Row]:
    """Yield agreements of communities of some sizes, each to the same gap, in turns."""
    for members in sizes:
        system = community(members)
        coalition = coalition_of(system, sample_episode(system, "test", 0))
        said = in_turns(coalition, agents_of(coalition), ADAPTIVE)
        row = Row(system.name, "in turns, adaptive", members, 0, 0.0, 0.0, SIZE_GAP)
        yield measured(coalition, said, row, EVERY)[0]


def community(members: int) -> System:
    """Return the first members of `large_50` with a storage of their share, on the pool alone."""
    content = large_50()
    storage = {**grown(content["ces"], members / MEMBERS), "rental": False}
    own = {
        "name": f"large_{members}",
        "members": content["members"][:members],
        "ces": storage,
        "day_ahead": {**content["day_ahead"], "grid": False},
    }
    return build_system(SystemConfig.model_validate({**content, **own}))


def exponent(rows: Sequence[Row]) -> float:
    """Return the power of the number of members to which seconds per member grow."""
    members = np.array([row.members for row in rows], dtype=float)
    seconds = np.array([row.seconds for row in rows]) / members
    return float(np.polyfit(np.log(members), np.log(seconds), 1)[0])
