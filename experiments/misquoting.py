"""Do participants that learn alone discover misquoting, who gains by it, and what do audits do?

In the pool of a system all powers are decided by a rule, and every participant learns from its own
bill what to quote (see `misquoting_market`, `misquoting_learners`). They learn on days of `train`;
what they have learned is played on days of `val`, once with the same random numbers for all, with
fines as they are to be expected. `study` returns `Findings`; money is per episode, and a change is
against the same days with everybody honest:

- `honest`: what each pays, the community's real cost and the energy traded when all are honest;
- `all_full`: what each pays more if all quote with a margin of 1 and nobody is audited;
- `found`, for each strength of audits, and in it for each seed:
  `margin` (each one's, weighted by the money it stands for), `own` (what each pays more, fines
  included), `fines` (of that, fines less what one is handed of others'), `system` (real cost),
  `traded_kwh`, `hidden` (money that lies are worth at most), `left` (what each could gain by the
  best margins for each role and kind of hour, against what the others quote: 0 is a best response);
  `by_case` (mean margins by role and kind of hour), and, without seeds, `tempted`: what each gains
  by its best margins while all others are honest.

The best margins are chosen on the very days that they are judged on, so `left` and `tempted` are,
if anything, too high.

Source: our choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import joblib
import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.quoting import handed_on
from experiments.misquoting_market import (
    GRID,
    KINDS,
    ROLES,
    SILENT,
    Days,
    Market,
    Played,
    best_response,
    load_market,
    record,
)
from mmg_env.errors import InputError
from mmg_env.sources.random import stream
from mmg_env.splits import check_index

Array = NDArray[np.float64]

AUDITS: Final = (0.0, 0.2, 0.4, 0.6, 0.8)
TRAIN_DAYS: Final = 64


class Size(NamedTuple):
    """How much is done.

    Attributes:
        episodes: held-out episodes to judge on.
        steps: hours of the community that each learner learns from.
        seeds: learners per strength of audits.
    """

    episodes: int
    steps: int
    seeds: int


FULL: Final = Size(episodes=64, steps=300_000, seeds=4)
QUICK: Final = Size(episodes=32, steps=40_000, seeds=2)
QUICK_AUDITS: Final = (0.0, 0.4, 0.8)


@dataclass(frozen=True)
class Honest:
    """A community in which everybody is honest, means per episode.

    Attributes:
        own: what each pays, transfers included, currency.
        system: real cost, currency.
        traded_kwh: energy received in the pool, kWh.
        kwh_by_case: energy sent or received by participant, role and kind of hour, kWh.
    """

    own: tuple[float, ...]
    system: float
    traded_kwh: float
    kwh_by_case: tuple[tuple[tuple[float, ...], ...], ...]


@dataclass(frozen=True)
class Found:
    """What became of one strength of audits; see the top of the file. Lists are by seed.

    Attributes:
        strength: expected fine per unit of hidden money.
        margin: by seed and participant, 0..1.
        own: by seed and participant, change, currency.
        fines: by seed and participant, currency; each seed's sum to 0.
        left: by seed and participant, currency.
        system: by seed, change, currency.
        traded_kwh: by seed, change, kWh.
        hidden: by seed, currency.
        by_case: by participant, role and kind of hour, mean over seeds; NaN where nobody trades.
        tempted: by participant, currency.
    """

    strength: float
    margin: tuple[tuple[float, ...], ...]
    own: tuple[tuple[float, ...], ...]
    fines: tuple[tuple[float, ...], ...]
    left: tuple[tuple[float, ...], ...]
    system: tuple[float, ...]
    traded_kwh: tuple[float, ...]
    hidden: tuple[float, ...]
    by_case: tuple[tuple[tuple[float, ...], ...], ...]
    tempted: tuple[float, ...]


@dataclass(frozen=True)
class Findings:
    """What the study has found.

    Attributes:
        system: the system's name.
        currency: of all money.
        participants: members, then the storage.
        roles: what a participant does in an hour.
        kinds: kinds of hours, by the purchase price's place in the day's range.
        size: episodes, steps and seeds.
        train_days: days that learners learn from.
        honest: the community when everybody is honest.
        all_full: by participant, change, currency.
        found: by strength of audits.
    """

    system: str
    currency: str
    participants: tuple[str, ...]
    roles: tuple[str, ...]
    kinds: tuple[str, ...]
    size: Size
    train_days: int
    honest: Honest
    all_full: tuple[float, ...]
    found: tuple[Found, ...]


class _Learned(NamedTuple):
    """What one seed's learners came to; as in `Found`."""

    margin: Array
    own: Array
    fines: Array
    left: Array
    system: float
    traded_kwh: float
    hidden: float
    by_case: Array


def study(
    source: str = "s1_3mg",
    size: Size = FULL,
    audits: Sequence[float] = AUDITS,
    workers: int = 1,
) -> Findings:
    """Let participants learn what to quote, under audits of several strengths.

    Args:
        source: system or suite.
        size: how much is done.
        audits: expected fines per unit of hidden money.
        workers: processes; they change no number.

    Raises:
        InputError: there is no such system or so few episodes, or a strength is negative.
    """
    for strength in audits:
        if not 0.0 <= strength < np.inf:
            raise InputError(f"audits: {strength:g} must be a fine of at least 0 per unit hidden")
    check_index(load_market(source), "val", size.episodes - 1)
    jobs = [(strength, seed) for strength in audits for seed in range(size.seeds)]
    with joblib.parallel_config(backend="loky", n_jobs=workers, inner_max_num_threads=1):
        every = joblib.Parallel()(joblib.delayed(_learned)(source, size, *job) for job in jobs)
    market = _market(source, "val", size.episodes)
    honest = market.play(np.zeros(market.days.role.shape))
    full = market.play(np.where(market.days.role == SILENT, 0.0, 1.0))
    gathered = [
        _found(market, strength, every[k * size.seeds : (k + 1) * size.seeds])
        for k, strength in enumerate(audits)
    ]
    return Findings(
        system=market.days.system.name,
        currency=market.days.system.config.currency,
        participants=market.days.participants,
        roles=ROLES,
        kinds=KINDS,
        size=size,
        train_days=TRAIN_DAYS,
        honest=_honest(market.days, honest),
        all_full=_plain(_per_episode(full.paid - honest.paid)),
        found=tuple(gathered),
    )


@lru_cache(maxsize=4)
def _market(source: str, split: str, episodes: int) -> Market:
    """Return a market, laid out once per process."""
    return Market(record(load_market(source), split, episodes))


def _learned(source: str, size: Size, strength: float, seed: int) -> _Learned:
    """Let one seed's participants learn, and judge what they learned."""
    # Here, because nothing but learning needs torch.
    from experiments.misquoting_learners import learn

    chances = learn(_market(source, "train", TRAIN_DAYS), strength, size.steps, seed)
    market = _market(source, "val", size.episodes)
    drawing = stream(market.days.system.name, "val", 0, "misquoting, margins")
    margins = market.days.draw(chances, drawing)
    honest, played = market.play(np.zeros(margins.shape)), market.play(margins)
    fines = handed_on(strength * played.hidden)
    band = (market.days.buy - market.days.sell)[..., None] * played.traded_kwh
    worth = band.sum(axis=(0, 1))
    gains = [best_response(market, margins, p, strength)[0] for p in range(margins.shape[-1])]
    return _Learned(
        margin=played.hidden.sum(axis=(0, 1)) / np.where(worth > 0.0, worth, 1.0),
        own=_per_episode(played.paid + fines - honest.paid),
        fines=_per_episode(fines),
        left=np.array(gains),
        system=float((played.cost - honest.cost).sum(axis=1).mean()),
        traded_kwh=_received(market.days, played) - _received(market.days, honest),
        hidden=float(played.hidden.sum(axis=(1, 2)).mean()),
        by_case=chances @ GRID,
    )


def _found(market: Market, strength: float, learned: Sequence[_Learned]) -> Found:
    """Gather the seeds of one strength."""
    days = market.days
    nobody = _by_case(days, np.ones(days.role.shape)) == 0.0
    honest = np.zeros(days.role.shape)
    everybody = range(len(days.participants))
    tempted = [best_response(market, honest, p, strength)[0] for p in everybody]
    cases = np.mean([one.by_case for one in learned], axis=0)
    return Found(
        strength=float(strength),
        margin=tuple(_plain(one.margin) for one in learned),
        own=tuple(_plain(one.own) for one in learned),
        fines=tuple(_plain(one.fines) for one in learned),
        left=tuple(_plain(one.left) for one in learned),
        system=tuple(one.system for one in learned),
        traded_kwh=tuple(one.traded_kwh for one in learned),
        hidden=tuple(one.hidden for one in learned),
        by_case=_table(np.where(nobody, np.nan, cases)),
        tempted=tuple(tempted),
    )


def _honest(days: Days, played: Played) -> Honest:
    return Honest(
        own=_plain(_per_episode(played.paid)),
        system=float(played.cost.sum(axis=1).mean()),
        traded_kwh=_received(days, played),
        kwh_by_case=_table(_by_case(days, played.traded_kwh) / len(days.episodes)),
    )


def _by_case(days: Days, amounts: Array) -> Array:
    """Return sums by participant, role and kind of hour, of (episodes, steps, participants)."""
    sums = np.zeros((amounts.shape[-1], len(ROLES), len(KINDS)))
    for role, kind in np.ndindex(len(ROLES), len(KINDS)):
        here = (days.role == role) & (days.kind == kind)[..., None]
        sums[:, role, kind] = np.where(here, amounts, 0.0).sum(axis=(0, 1))
    return sums


def _received(days: Days, played: Played) -> float:
    """Return the energy received in the pool per episode, kWh."""
    receives = days.role == ROLES.index("receives")
    return float(np.where(receives, played.traded_kwh, 0.0).sum(axis=(1, 2)).mean())


def _per_episode(amounts: Array) -> Array:
    """Return means per episode by participant, of (episodes, steps, participants)."""
    return np.asarray(amounts.sum(axis=1).mean(axis=0))


def _plain(values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _table(values: Array) -> tuple[tuple[tuple[float, ...], ...], ...]:
    return tuple(tuple(_plain(row) for row in own) for own in values)
