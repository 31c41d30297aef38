"""What lies pay, destroy and move on the cooperative day of `mmg reproduce s1`.

Source: Bian & Ji 2025, section 4.1 for the question; both games and all strengths are our choice.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from baselines.bargaining.correlated_lies import Correlated, correlated_lies
from baselines.bargaining.quoted_market import COARSE, GRID, Equilibrium, Lies, QuotedMarket
from baselines.bargaining.quoted_market import against_audits as market_against_audits
from baselines.bargaining.quoting import Adjustment, Effect, Game, adjust, against_audits
from baselines.bargaining.vcg import Clarke, ClarkeMarket
from experiments.reproduce.s1_cases import CONTRIBUTION, UNIFORM, coalition_named, cooperative_day

POWERS: Final = (CONTRIBUTION, UNIFORM)
STRENGTHS: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 10.0, 20.0)


class Lied(NamedTuple):
    """Lies in both games.

    Attributes:
        analytic: by bargaining power, the equilibrium of every strength of audits.
        adjusted: by bargaining power, how participants came to it, at the strength of deception.
        market: by bargaining power, what was found where lies are margins, likewise by strength.
        surplus: that market's, where all are honest, currency.
        grid: lies that were possible there.
        together: where lies are drawn together from a coarse grid, those in which least and most is
            lost, at every strength, at the first bargaining power.
    """

    analytic: Mapping[str, tuple[Effect, ...]]
    adjusted: Mapping[str, Adjustment]
    market: Mapping[str, tuple[Equilibrium, ...]]
    surplus: float
    grid: Lies
    together: tuple[tuple[Correlated, Correlated], ...]


def lied(name: str, coarse: bool) -> Lied:
    """Return what comes of lies on a system's nominal day.

    Args:
        name: of the system.
        coarse: whether the market's lies are on a coarse grid.
    """
    powers = cooperative_day(name).powers
    market, grid = QuotedMarket(coalition_named(name)), COARSE if coarse else GRID
    return Lied(
        {power: against_audits(powers[power], strengths=STRENGTHS) for power in POWERS},
        {power: adjust(Game(powers[power])) for power in POWERS},
        {power: market_against_audits(market, powers[power], STRENGTHS, grid) for power in POWERS},
        market.honest.surplus,
        grid,
        tuple(correlated_lies(market, powers[POWERS[0]], audits) for audits in STRENGTHS),
    )


def clarke(name: str) -> Clarke:
    """Return the payments of a system's nominal day under which nobody gains by a lie."""
    return ClarkeMarket(coalition_named(name)).settle()
