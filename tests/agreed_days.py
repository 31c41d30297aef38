"""Nominal days on which the participants of a system have agreed, and random days divided."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from random_systems import random_config, random_episode

from baselines.bargaining.bargain import Bargain, by_contribution, uniform
from baselines.bargaining.carrying_out import exactly
from baselines.bargaining.coalition import Coalition, coalition_of, costs_of
from baselines.bargaining.cooperation import Cooperation, agents_of, cooperate
from baselines.bargaining.trades import Pairs, pairs_of, trades_of
from baselines.solution import Plan
from mmg_env import load_system, nominal_episode
from mmg_env.system import build_system


class Agreed(NamedTuple):
    coalition: Coalition
    episode: object
    cooperation: Cooperation
    plan: Plan
    alone: np.ndarray
    trades: np.ndarray
    pairs: Pairs

    def bargain(self, power):
        everyone = len(self.alone)
        shares = (
            uniform(everyone)
            if power == "uniform"
            else by_contribution(self.trades.sum(axis=(1, 2)), self.trades.sum(axis=(0, 2)))
        )
        return Bargain(self.alone, costs_of(self.plan), shares)

    @property
    def band(self):
        return self.episode.price_sell, self.episode.price_buy

    @property
    def middle(self):
        return 0.5 * (self.episode.price_sell + self.episode.price_buy)


@lru_cache
def agreed(name):
    system = load_system(name)
    episode = nominal_episode(system)
    coalition = coalition_of(system, episode)
    found = cooperate(coalition, agents_of(coalition))
    plan = coalition.plan(exactly(coalition, found.exchanged, found.price))
    alone = costs_of(coalition.plan(coalition.solve(frozenset())))
    trades = trades_of(system, plan.flows)
    return Agreed(coalition, episode, found, plan, alone, trades, pairs_of(trades))


@lru_cache(maxsize=64)
def random_day(seed):
    """Return a random system, a day of it without surprises, and the day divided."""
    config = random_config(seed).model_copy(update={"episode_h": 24})
    system = build_system(config)
    episode = random_episode(system, seed, calm=True)
    return system, episode, coalition_of(system, episode)


def everyone(coalition):
    return frozenset(range(len(coalition.pieces)))
