"""A pool in which all powers are decided and only quotes are open.

The rule `auction` serves the long side of the pool by quotes and lets the quotes at the margin set
the price. What a participant sends and receives is decided by a rule; a margin says how far it
quotes from what a kWh is worth to it without the pool, the retail price that it expects::

    ask = sell + margin (buy - sell)        bid = buy - margin (buy - sell)        margin in 0..1

A margin of 0 is honest. An audit finds what a lie was worth at most, and fines are in proportion
to it; a fine goes to the others in equal parts, so that fines sum to zero::

    hidden[i] = |quote - honest quote| * kWh traded
    net fine[i] = fine[i] - sum_{j != i} fine[j] / (N - 1)

Quotes change who pays whom, and which of the nominations that do not fit are cut. They change no
battery and no unit: what is cut is closed by the grid. So hours have nothing to do with one
another, the rule does the same whatever is quoted, and the best quotes of one participant against
the others' are found kind of hour by kind of hour.

Source: docs/model.md, section 5, for the pool; margins, kinds of hours and fines are our choice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.quoting import handed_on
from baselines.rules import RULES, RulePolicy, tuned_rule
from mmg_env.actions import ActionCodec
from mmg_env.batch import Batch
from mmg_env.env import CommunityEnv
from mmg_env.episode import Episode
from mmg_env.errors import InputError
from mmg_env.kernel import N_ACTION
from mmg_env.layout import A, F
from mmg_env.public import PublicInfo
from mmg_env.rollout import rollout
from mmg_env.system import System, load_system

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

ROLES: Final = ("sends", "receives")
KINDS: Final = ("cheap", "middling", "dear")
SILENT: Final = -1  # the role of who neither sends nor receives
OVERRIDES: Final = {"pool.price_rule": "auction", "day_ahead.pool": False}
GRID: Final = np.linspace(0.0, 1.0, 11)
"""All margins there are: quotes stand on a tick, so that they may tie."""
_LEAST_KW: Final = 1e-9
_LEAST_MONEY: Final = 1e-6  # rounding


class Played(NamedTuple):
    """What came of quotes.

    Attributes:
        paid: (episodes, steps, participants) the ledger's sum, transfers included, currency.
        cost: (episodes, steps) real cost of the community, currency.
        hidden: (episodes, steps, participants) what lies were worth at most, currency.
        traded_kwh: (episodes, steps, participants) energy sent and received in the pool.
    """

    paid: Array
    cost: Array
    hidden: Array
    traded_kwh: Array


@dataclass(frozen=True, eq=False)
class Days:
    """Episodes as a rule plays them: everything but the quotes.

    Attributes:
        system: the system, with the rule `auction` and a pool that clears hour by hour.
        episodes: what is lived through.
        actions: (episodes, steps, entries) the rule's action vectors.
        role: (episodes, steps, participants) place in ROLES, or SILENT.
        kind: (episodes, steps) place in KINDS.
        sell: (episodes, steps) retail sale price as expected, currency/kWh.
        buy: (episodes, steps) retail purchase price as expected, currency/kWh.
    """

    system: System
    episodes: tuple[Episode, ...]
    actions: Array
    role: Integers
    kind: Integers
    sell: Array
    buy: Array

    @property
    def participants(self) -> tuple[str, ...]:
        """Names: the members, then the storage."""
        return tuple(self.system.participants)

    def draw(self, chances: Array, rng: np.random.Generator) -> Array:
        """Draw everybody's margin in each hour.

        Args:
            chances: (participants, roles, kinds, len(GRID)) probabilities of margins.
            rng: draws one number per participant and hour, whatever the probabilities.

        Returns:
            (episodes, steps, participants); 0 where a participant is silent.
        """
        own = chances[np.arange(len(self.participants)), self.role, self.kind[..., None]]
        drawn = (rng.random((*self.role.shape, 1)) > own.cumsum(axis=-1)[..., :-1]).sum(axis=-1)
        return np.asarray(np.where(self.role == SILENT, 0.0, GRID[drawn]))


class _Heard:
    """A policy that remembers the retail prices that were expected for each hour."""

    def __init__(self, policy: RulePolicy) -> None:
        """Take the policy that decides."""
        self._policy = policy
        self.prices: list[tuple[float, float]] = []

    def reset(self, rng: np.random.Generator) -> None:
        """Begin an episode."""
        self._policy.reset(rng)
        self.prices = []

    def act(self, observation: NDArray[Any], info: Mapping[str, Any]) -> Array:
        """Return what the policy does."""
        public: PublicInfo = info["public"]
        now = public.forecast
        self.prices.append((float(now.price_sell[0]), float(now.price_buy[0])))
        return self._policy.act(observation, info)


def load_market(source: str) -> System:
    """Return a system whose pool is an auction in every hour.

    Raises:
        InputError: there is no such system, or it has nobody to trade with.
    """
    system = load_system(source, dict(OVERRIDES))
    if len(system.participants) < 2:
        raise InputError(f"system {system.name}: it has one participant; a pool needs two")
    return system


def record(system: System, split: str, count: int) -> Days:
    """Play the first episodes of a split by the tuned rule, or else by `self_consumption`."""
    tuned = system.config.tuned_rule is not None
    rule = tuned_rule(system) if tuned else RulePolicy(system, RULES["self_consumption"])
    policy, env, codec = _Heard(rule), CommunityEnv(system, split=split), ActionCodec(system)
    played, prices = [], []
    for index in range(count):
        played.append(rollout(env, policy, options={"episode": index}))
        prices.append(policy.prices)
    nominated = np.stack([one.flow(F.nominated_kw) for one in played])
    sends, receives = nominated < -_LEAST_KW, nominated > _LEAST_KW
    sell, buy = np.moveaxis(np.array(prices), -1, 0)
    return Days(
        system=system,
        episodes=tuple(one.episode for one in played),
        actions=np.stack([[codec.encode(row) for row in one.requests] for one in played]),
        role=np.where(sends, 0, np.where(receives, 1, SILENT)),
        kind=kinds_of(buy, system.steps_per_day),
        sell=sell,
        buy=buy,
    )


def kinds_of(buy: Array, steps_per_day: int) -> Integers:
    """Return which third of the day's range of purchase prices each hour's lies in.

    A day of one price is cheap.

    Args:
        buy: (episodes, steps) purchase prices.
        steps_per_day: steps of a day.
    """
    days = buy.reshape(len(buy), -1, steps_per_day)
    low, high = days.min(axis=2, keepdims=True), days.max(axis=2, keepdims=True)
    height = (days - low) / np.where(high > low, high - low, 1.0)
    return np.asarray(np.minimum((3.0 * height).astype(np.int64), 2).reshape(buy.shape))


class Market:
    """The days of a community, to be played again and again with other quotes."""

    def __init__(self, days: Days) -> None:
        """Lay out the episodes, a slot each."""
        self.days = days
        system, count = days.system, len(days.episodes)
        self._batch = Batch(system, count)
        self._slots = np.arange(count)
        for slot, episode in enumerate(days.episodes):
            self._batch.bank.given(slot, episode)
        codec = self._batch.actions
        entry = {int(slot): place for place, slot in enumerate(codec.slots)}
        wanted = [p * N_ACTION + A.quote_per_kwh for p in range(len(days.participants))]
        self._quoting = np.array([p for p, slot in enumerate(wanted) if slot in entry])
        self._entries = np.array([entry[wanted[p]] for p in self._quoting])
        self._gain, self._offset = codec.gain[self._entries], codec.offset[self._entries]

    def play(self, margins: Array) -> Played:
        """Return what margins come to, (episodes, steps, participants) in 0..1."""
        self.begin()
        hours = [self.hour(t, margins[:, t]) for t in range(margins.shape[1])]
        return Played(*(np.stack(column, axis=1) for column in zip(*hours, strict=True)))

    def begin(self) -> None:
        """Go back to the first hour of every episode."""
        self._batch.begin(self._slots, self._slots)

    def hour(self, t: int, margins: Array) -> Played:
        """Play hour t of every episode, after the hours before it.

        Args:
            t: step of the episodes.
            margins: (episodes, participants) in 0..1.

        Returns:
            As of all hours, without the axis of steps.
        """
        days, batch = self.days, self._batch
        action = days.actions[:, t].copy()
        quotes = self.quotes(t, margins)[:, self._quoting]
        action[:, self._entries] = (quotes - self._offset) / self._gain
        _, cost = batch.step(action)
        exchanged_kw = batch.flows[:, :, F.sent_kw] + batch.flows[:, :, F.received_kw]
        traded = exchanged_kw * days.system.dt_h
        lies = margins * (days.buy[:, t] - days.sell[:, t])[:, None]
        return Played(batch.ledger.sum(axis=2), cost, lies * traded, traded)

    def quotes(self, t: int, margins: Array) -> Array:
        """Return what is quoted, (episodes, participants), currency/kWh; 0 by the silent."""
        days = self.days
        sell, buy, role = days.sell[:, t, None], days.buy[:, t, None], days.role[:, t]
        asks, bids = sell + margins * (buy - sell), buy - margins * (buy - sell)
        return np.asarray(np.select([role == 0, role == 1], [asks, bids], 0.0))


def best_response(market: Market, margins: Array, who: int, strength: float) -> tuple[float, Array]:
    """Return the most that one participant gains by other margins while all others keep theirs.

    Every margin of the grid is played in all hours at once; then the best is taken for each role
    and kind of hour. That is exact on the grid, because hours do not meet.

    Args:
        market: the days.
        margins: (episodes, steps, participants) everybody's.
        who: the participant.
        strength: expected fine per unit of hidden money.

    Returns:
        The gain, currency per episode, and the best margins, (roles, kinds); NaN where it never is
        in a role at such hours, or gains nothing by any margin.
    """
    days = market.days

    def owed(own: Array | float) -> Array:
        changed = margins.copy()
        changed[..., who] = np.where(days.role[..., who] == SILENT, 0.0, own)
        played = market.play(changed)
        return np.asarray((played.paid + handed_on(strength * played.hidden))[..., who])

    now = owed(margins[..., who])
    tried = np.stack([owed(float(margin)) for margin in GRID])
    best, gain = np.full((len(ROLES), len(KINDS)), np.nan), 0.0
    for role, kind in np.ndindex(best.shape):
        hours = (days.role[..., who] == role) & (days.kind == kind)
        saved = (now[hours].sum() - tried[:, hours].sum(axis=1)) / len(days.episodes)
        if hours.any() and saved.max() > _LEAST_MONEY:
            best[role, kind] = GRID[saved.argmax()]
            gain += float(saved.max())
    return gain, best
