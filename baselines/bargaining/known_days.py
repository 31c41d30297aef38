"""What a centre knows of past days, and what everyone saved on them.

Of the members' series and the tariff it knows ::

    what a member pays that meets its load from the grid alone, and all as if they were one;
    the energy it could not use itself; its heat

and of the exchange, which it arranges and meters ::

    what each receives less what it sends, at the middle of the retail prices;
    what it receives and sends, at half the spread

On days with lies the exchange is taken to be that of honest days: lies in the analytic form of
`quoting` move money, and no trade.

Source: our choice.
"""

from dataclasses import dataclass
from itertools import chain

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from baselines.bargaining.coalition import coalition_of
from baselines.bargaining.quoted_market import Outcome, QuotedMarket
from mmg_env.episode import Episode
from mmg_env.splits import sample_episode
from mmg_env.system import System

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Facts = tuple[Array, Array, Array]


@dataclass(frozen=True, eq=False)
class Days:
    """Days that the centre looks at.

    Attributes:
        series: (days, features) what their series and tariff tell.
        exchange: (days, features) what was exchanged tells.
        savings: (days, participants) what each saves in truth, currency.
    """

    series: Array
    exchange: Array
    savings: Array

    @property
    def known(self) -> Array:
        """All that the centre knows, (days, features)."""
        return np.hstack([self.series, self.exchange])


def days(system: System, split: str, count: int, first: int = 0, jobs: int = 1) -> Days:
    """Return what the centre knows of some episodes of a split, and what is true.

    Args:
        system: the system.
        split: `train`, `val`, `test` or `shift`.
        count: how many.
        first: number of the first.
        jobs: processes.
    """
    parts = np.array_split(np.arange(first, first + count), jobs)
    found = Parallel(n_jobs=jobs)(delayed(_some)(system, split, part) for part in parts)
    return Days(*(np.array(part) for part in zip(*chain(*found), strict=True)))


def day(system: System, split: str, index: int) -> Facts:
    """Return features of an episode's series and of its exchange, and the savings; see `Days`."""
    episode = sample_episode(system, split, index)
    honest = QuotedMarket(coalition_of(system, episode)).honest
    return of_series(episode, system.dt_h), of_exchange(episode, honest), honest.savings


def of_series(episode: Episode, dt_h: float) -> Array:
    """Return features of the members' series and the tariff, (3 * members + 1,)."""
    net = dt_h * (episode.load_kw - episode.wind_kw - episode.pv_kw)
    whole = np.column_stack([net, net.sum(axis=1)])
    buy, sell = episode.price_buy[:, None], episode.price_sell[:, None]
    paid = np.where(whole > 0.0, buy, sell) * whole
    heat = dt_h * episode.heat_kw
    return np.concatenate([paid.sum(axis=0), np.maximum(-net, 0.0).sum(axis=0), heat.sum(axis=0)])


def of_exchange(episode: Episode, outcome: Outcome) -> Array:
    """Return features of what was exchanged, (2 * participants,)."""
    middle = 0.5 * (episode.price_buy + episode.price_sell)
    half = 0.5 * (episode.price_buy - episode.price_sell)
    taken = (outcome.received_kwh - outcome.sent_kwh) @ middle
    return np.concatenate([taken, (outcome.received_kwh + outcome.sent_kwh) @ half])


def _some(system: System, split: str, indices: Integers) -> list[Facts]:
    """Return some days, with a model that is built once."""
    return [day(system, split, int(index)) for index in indices]
