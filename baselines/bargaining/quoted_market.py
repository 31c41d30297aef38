"""Who lies, and how much, where a lie is a margin that trades must bear.

The centre makes the plan that is cheapest by quotes, and pays by quotes. With C(x) what a plan
costs in truth, B what everyone costs alone, and K what a participant trades, each kWh worth half
the spread of the retail prices (`margins`)::

    Q(lambda) = min_x  C(x) + sum lambda[i] K[i](x)
    hidden[i] = lambda[i] K[i],     pi[i] = saved[i] - hidden[i] - omega[i] (B - Q)
    gain[i] = saved[i] - pi[i] - fine[i] = hidden[i] + omega[i] (B - Q) - fine[i]

Trades that do not bear the margins do not take place, so what lies destroy is found, not assumed.
Commitments and directions are relaxed.

Q is concave, and K its slope: unique but for lies where plans tie, as round ones easily do. So the
plan is taken that is best where liars lie a little less, each by another little, the first in order
most, and the honest as little more. Then a gain depends on lies alone and not on how the solver
came there; what each saves before payments still may.

Lies are looked for on a grid. In turns, each takes the best lie against the others'. If that ends,
nobody has a profitable lie left. If it goes round in circles, all lies on the grid are compared,
where they are few enough, and those are returned that are regretted least; how much says `regret`.

Source: Bian & Ji 2025, section 4.1 (quotes that deceive, in iteration); this market is our choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.coalition import Coalition, whole_programme
from baselines.bargaining.margins import margins, with_margins
from baselines.bargaining.quoting import fines
from mmg_env.errors import InputError

Array = NDArray[np.float64]
Lies = tuple[float, ...]

GRID: Final[Lies] = tuple(k / 10 for k in range(10))
COARSE: Final[Lies] = (0.0, 0.3, 0.6, 0.9)
APART: Final = 1e-5  # how far lies are set apart so that plans do not tie
NEGLIGIBLE: Final = 1e-6  # of the honest surplus: what nobody changes a lie for
TURNS: Final = 50
MOST_COMPARED: Final = 20_000
PRECISE: Final = {"dual_feasibility_tolerance": 1e-9}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What comes of some quotes.

    Attributes:
        savings: (participants,) cost alone less cost in the plan, in truth, currency.
        sent_kwh: (participants, steps).
        received_kwh: (participants, steps).
        hidden: (participants,) margins on that, currency.
    """

    savings: Array
    sent_kwh: Array
    received_kwh: Array
    hidden: Array

    @property
    def traded_kwh(self) -> Array:
        """What each sends and receives, (participants,)."""
        return np.asarray((self.sent_kwh + self.received_kwh).sum(axis=1))

    @property
    def surplus(self) -> float:
        """What all save together in truth, currency."""
        return float(self.savings.sum())

    def gains(self, power: Array) -> Array:
        """Return what each gains in the end before fines, (participants,), currency."""
        return np.asarray(self.hidden + power * (self.surplus - self.hidden.sum()))


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """What was found.

    Attributes:
        lies: (participants,) on the grid.
        regret: the largest that one could gain by another lie on the grid, currency; next to
            nothing if no such lie pays.
        gains: (participants,) currency, fines included.
        welfare_loss: share of the honest surplus destroyed.
        redistributed: share of the honest surplus that goes to others than the powers say.
        settled: whether taking turns ended.
        compared: whether all lies on the grid were compared.
        trace: (turns + 1, participants) lies, from none on.
    """

    lies: Array
    regret: float
    gains: Array
    welfare_loss: float
    redistributed: float
    settled: bool
    compared: bool
    trace: Array


class QuotedMarket:
    """A day's plan as a function of lies; each is solved once.

    Attributes:
        participants: their number.
        honest: what comes of no lies.
    """

    def __init__(self, coalition: Coalition) -> None:
        """Take the day."""
        self.participants = len(coalition.pieces)
        self._coalition = coalition
        everyone = range(self.participants)
        alone = whole_programme(coalition.compiled, coalition.without(everyone)).solve().x
        self._alone = self._costs(alone)
        whole = whole_programme(coalition.compiled, coalition.numbers)
        self._solver = whole.solver(PRECISE)
        self._known: dict[Lies, Outcome] = {}
        self.honest = self.outcome(np.zeros(self.participants))

    def outcome(self, lies: Array) -> Outcome:
        """Return what comes of some lies, (participants,) shares.

        Raises:
            SolverError: HiGHS proved no optimum.
        """
        key = tuple(float(lie) for lie in lies)
        if key not in self._known:
            self._known[key] = self._solve(np.array(key))
        return self._known[key]

    def gains(self, lies: Array, power: Array, audits: float) -> Array:
        """Return what each gains in the end, fines included, (participants,), currency."""
        fined = fines(lies, self.honest.surplus, audits)
        return np.asarray(self.outcome(lies).gains(power) - fined)

    def welfare_loss(self, lies: Array) -> float:
        """Return the share of the honest surplus that lies destroy; 0 where there is none."""
        honest = self.honest.surplus
        return 1.0 - self.outcome(lies).surplus / honest if honest > 0.0 else 0.0

    def _solve(self, lies: Array) -> Outcome:
        """Return what comes of some lies, solved anew."""
        c = self._coalition
        near = np.abs(lies - APART * np.sqrt(np.arange(len(lies), 0, -1)))
        margin = margins(c.system, near, c.rows)
        self._solver.load(with_margins(c.compiled, c.numbers, margin, c.system.dt_h))
        x = self._solver.solve_lp().x
        sent, received = (self._energy(x, name) for name in ("sent_kw", "received_kw"))
        worth = margins(c.system, lies, c.rows)
        hidden = (worth * (sent + received)).sum(axis=1)
        return Outcome(self._alone - self._costs(x), sent, received, hidden)

    def _costs(self, x: Array) -> Array:
        """Return what a plan costs each but for what no plan changes, (participants,)."""
        cost = self._coalition.numbers.cost
        return np.array([cost[p.columns] @ x[p.columns] for p in self._coalition.pieces])

    def _energy(self, x: Array, name: str) -> Array:
        """Return what each sends or receives, (participants, steps), kWh."""
        energy = np.zeros((self.participants, len(self._coalition.rows)))
        if name in self._coalition.compiled.columns:
            at = self._coalition.compiled.columns[name]
            energy[: len(at)] = np.where(at >= 0, x[at], 0.0)
        return self._coalition.system.dt_h * energy


def find_equilibrium(
    market: QuotedMarket, power: Array, audits: float, grid: Lies = GRID
) -> Equilibrium:
    """Return the lies that nobody on a grid regrets, or those regretted least.

    Args:
        market: the day.
        power: (participants,) bargaining powers.
        audits: their strength, kappa.
        grid: lies that are possible, ascending from 0.
    """
    trace, settled = _in_turns(market, power, audits, grid)
    compare = not settled and len(grid) ** market.participants <= MOST_COMPARED
    if settled:
        lies = trace[-1]
    elif compare:
        lies = equilibria(market, power, audits, grid)[0][0]
    else:
        lies = min(trace, key=lambda tried: regret_of(market, tried, power, audits, grid))
    gains = market.gains(lies, power, audits)
    moved = 0.5 * float(np.abs(gains - power * market.outcome(lies).surplus).sum())
    return Equilibrium(
        lies,
        regret_of(market, lies, power, audits, grid),
        gains,
        market.welfare_loss(lies),
        moved / market.honest.surplus if market.honest.surplus > 0.0 else 0.0,
        settled,
        compare,
        np.array(trace),
    )


def regret_of(
    market: QuotedMarket, lies: Array, power: Array, audits: float, grid: Lies = GRID
) -> float:
    """Return the largest that one alone could gain by another lie on the grid, currency."""
    now = market.gains(lies, power, audits)
    best = [_tried(market, lies, p, power, audits, grid).max() for p in range(len(lies))]
    return max(0.0, float((np.array(best) - now).max()))


def against_audits(
    market: QuotedMarket,
    power: Array,
    strengths: Sequence[float] = (0, 1, 2, 4, 10),
    grid: Lies = GRID,
) -> tuple[Equilibrium, ...]:
    """Return what is found for audits of some strengths."""
    return tuple(find_equilibrium(market, power, audits, grid) for audits in strengths)


def equilibria(
    market: QuotedMarket, power: Array, audits: float, grid: Lies = GRID
) -> tuple[tuple[Array, float], ...]:
    """Return all lies on a grid with their regrets, currency, those least regretted first.

    Raises:
        InputError: there are more than 20 000.
    """
    count = market.participants
    if len(grid) ** count > MOST_COMPARED:
        raise InputError(
            f"equilibria: {len(grid)} lies of {count} participants make {len(grid) ** count} "
            f"cases; at most {MOST_COMPARED} are compared"
        )
    every = [np.array(lies) for lies in product(grid, repeat=count)]
    gains = np.array([market.gains(lies, power, audits) for lies in every])
    gains = gains.reshape(*[len(grid)] * count, count)
    missed = [gains[..., p].max(axis=p, keepdims=True) - gains[..., p] for p in range(count)]
    regrets = np.max(missed, axis=0).ravel()
    return tuple((every[k], float(regrets[k])) for k in np.argsort(regrets, kind="stable"))


def _in_turns(
    market: QuotedMarket, power: Array, audits: float, grid: Lies
) -> tuple[list[Array], bool]:
    """Return the lies after each round of turns, from none on, and whether they stayed at last."""
    trace = [np.zeros(market.participants)]
    negligible = NEGLIGIBLE * market.honest.surplus
    seen = set()
    while tuple(trace[-1]) not in seen and len(trace) <= TURNS:
        seen.add(tuple(trace[-1]))
        lies = trace[-1].copy()
        for p in range(market.participants):
            tried = _tried(market, lies, p, power, audits, grid)
            if tried.max() > market.gains(lies, power, audits)[p] + negligible:
                lies[p] = grid[int(np.argmax(tried >= tried.max() - negligible))]
        if (lies == trace[-1]).all():
            return trace, True
        trace.append(lies)
    return trace, False


def _tried(
    market: QuotedMarket, lies: Array, participant: int, power: Array, audits: float, grid: Lies
) -> Array:
    """Return what one gains with each lie on the grid, (lies,), currency."""
    gains = np.empty(len(grid))
    for k, lie in enumerate(grid):
        other = lies.copy()
        other[participant] = lie
        gains[k] = market.gains(other, power, audits)[participant]
    return gains
