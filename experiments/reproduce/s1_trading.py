"""Who trades with whom on the cooperative day of `mmg reproduce s1`, and at which prices.

Source: the questions are those of Bian & Ji 2025; gamma and the residual are its own.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.pair_prices import Public, Said, restricted, rounds_of_prices, traders_of
from baselines.bargaining.price_band import Prices, prices_within
from baselines.bargaining.trades import Pairs, pairs_of, trades_of
from experiments.reproduce.s1_cases import CONTRIBUTION, SHOWN, UNIFORM, Day, cooperative_day

Array = NDArray[np.float64]

SETTLED: Final = 1e-4
"""Payments off by this share of the surplus count as found."""
POWERS: Final = (UNIFORM, CONTRIBUTION)


class Haggling(NamedTuple):
    """How pairs came to agree on prices.

    Attributes:
        apart_per_kwh: (rounds,) norm of the differences between the two copies of all prices.
        off: (rounds,) largest error of a payment, as a share of the surplus.
        time_s: (rounds,) since the start, s.
    """

    apart_per_kwh: Array
    off: Array
    time_s: Array

    def stopped(self, residual: float) -> int | None:
        """Return the first round whose prices are no further apart, 1-based; None if none."""
        return _first(self.apart_per_kwh <= residual)

    def first(self, close: float = SETTLED) -> int | None:
        """Return the first round whose payments are as good as found, 1-based; None if none."""
        return _first(self.off <= close)


class Traded(NamedTuple):
    """Trades and prices of a day.

    Attributes:
        kwh: (participants, participants, steps) what each delivers to each.
        pairs: who trades.
        prices: nearest the middle of the band that carry the payments.
        band: (2, steps) what the grid pays and takes, currency per kWh.
        haggling: by bargaining power.
    """

    kwh: Array
    pairs: Pairs
    prices: Prices
    band: Array
    haggling: Mapping[str, Haggling]


def _first(true: NDArray[np.bool_]) -> int | None:
    """Return the first that is true, 1-based."""
    return int(np.argmax(true)) + 1 if true.any() else None


def trading(name: str, rounds: int) -> Traded:
    """Return trades and prices of a system's cooperative day.

    Args:
        name: of the system.
        rounds: of the negotiation about prices.
    """
    day = cooperative_day(name)
    episode = day.lived.episode
    kwh = trades_of(day.lived.system, day.lived.flows)
    pairs = pairs_of(kwh)
    band = np.array([episode.price_sell, episode.price_buy])
    return Traded(
        kwh,
        pairs,
        prices_within(day.bargain(SHOWN), pairs, *band),
        band,
        {power: _haggling(day, pairs, band, power, rounds) for power in POWERS},
    )


def _haggling(day: Day, pairs: Pairs, band: Array, power: str, rounds: int) -> Haggling:
    """Return how pairs agree in turns, from the middle of the band on."""
    bargain, start = day.bargain(power), band.mean(axis=0)
    public, wanted = Public(bargain.surplus), restricted(bargain, pairs)
    traders = traders_of(bargain, pairs, start, public)
    found: list[Said] = list(islice(rounds_of_prices(traders, pairs, start, public), rounds))
    paid = np.array([pairs.paid(said.price.mean(axis=0)) for said in found])
    return Haggling(
        np.array([said.progress.apart_per_kwh for said in found]),
        np.abs(paid - wanted).max(axis=1) / bargain.surplus,
        np.array([said.progress.time_s for said in found]),
    )
