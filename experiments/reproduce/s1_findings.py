"""Everything that the page of `mmg reproduce s1` is about, computed in parallel.

Jobs know nothing of one another, so their number at a time changes no result but times.

Source: our choice.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from baselines.bargaining.vcg import Clarke
from experiments.misquoting import QUICK as LEARNERS
from experiments.misquoting import QUICK_AUDITS as LEARNERS_AUDITS
from experiments.misquoting import Findings as Learned
from experiments.misquoting import Size as LearnerSize
from experiments.reproduce import s1_cases as cases
from experiments.reproduce import s1_lies as lies
from experiments.reproduce.jobs import Job, run
from experiments.reproduce.s1_cases import MANNERS, Curve, Day, system_of
from experiments.reproduce.s1_chain import Chain, chain
from experiments.reproduce.s1_detection import Detected, detected
from experiments.reproduce.s1_learners import available, joined, learned
from experiments.reproduce.s1_lies import Lied
from experiments.reproduce.s1_trading import Traded, trading


class Size(NamedTuple):
    """How much is computed.

    Attributes:
        systems: names; that of three microgrids, which the paper reports in full, comes first.
        rounds: of the agreements whose residuals are shown.
        prices: rounds of the agreements on prices.
        dt_h: step of the robust day, h.
        coarse: whether lies in the market are on a coarse grid.
        audited: days that a centre has learnt from.
        suspected: days on which it looks for lies.
        learners: episodes, steps and seeds of those who learn what to quote.
        strengths: of the audits under which they learn.
        quick: whether this is but a first look.
    """

    systems: tuple[str, ...]
    rounds: int
    prices: int
    dt_h: float
    coarse: bool
    audited: int
    suspected: int
    learners: LearnerSize
    strengths: tuple[float, ...]
    quick: bool


FULL: Final = Size(
    systems=("s1_3mg", "s1_4mg"),
    rounds=100,
    prices=40,
    dt_h=1.0,
    coarse=False,
    audited=200,
    suspected=100,
    learners=LEARNERS,
    strengths=LEARNERS_AUDITS,
    quick=False,
)
QUICK: Final = FULL._replace(
    rounds=40,
    prices=25,
    dt_h=4.0,
    coarse=True,
    audited=60,
    suspected=20,
    learners=LearnerSize(episodes=8, steps=20_000, seeds=1),
    strengths=(0.0, 0.8),
    quick=True,
)


class Findings(NamedTuple):
    """What was found.

    Attributes:
        size: how much was computed.
        days: cooperative day of every system.
        curves: how participants came to agree, by system and manner.
        chains: robust day of every system.
        trading: trades and prices, by system.
        lied: lies in the first system.
        detected: how they are found there.
        clarke: payments under which no lie pays, by system.
        learned: what those come to who learn what to quote; None where no library learns.
    """

    size: Size
    days: Mapping[str, Day]
    curves: Mapping[tuple[str, str], Curve]
    chains: Mapping[str, Chain]
    trading: Mapping[str, Traded]
    lied: Lied
    detected: Detected
    clarke: Mapping[str, Clarke]
    learned: Learned | None


def gather(size: Size, workers: int) -> Findings:
    """Compute everything.

    Args:
        size: how much.
        workers: processes.
    """
    found = run(list(jobs(size)), workers)
    return Findings(
        size,
        {name: found["day", name] for name in size.systems},
        {(name, how): found["curve", name, how] for name in size.systems for how in MANNERS},
        {name: found["chain", name] for name in size.systems},
        {name: found["trading", name] for name in size.systems},
        found["lied",],
        found["detected",],
        {name: found["clarke", name] for name in size.systems},
        joined([found["learned", at] for at in size.strengths if available()]),
    )


def jobs(size: Size) -> Iterator[Job]:
    """Yield what is to be computed, each once; what takes long comes first."""
    for name in reversed(size.systems):
        yield Job(("chain", name), chain, (name, size.dt_h))
    for strength in size.strengths if available() else ():
        yield Job(("learned", strength), learned, (size.systems[0], size.learners, strength))
    yield Job(("lied",), lies.lied, (size.systems[0], size.coarse))
    yield Job(("detected",), detected, (size.systems[0], size.audited, size.suspected))
    for name in size.systems:
        yield Job(("trading", name), trading, (name, size.prices))
        yield Job(("clarke", name), lies.clarke, (name,))
        yield Job(("day", name), cases.cooperative_day, (name,))
        for manner in MANNERS:
            yield Job(("curve", name, manner), cases.curve, (name, manner, size.rounds))


def currency() -> str:
    """Return what costs are in."""
    return system_of(FULL.systems[0]).config.currency


def microgrids(name: str) -> int:
    """Return the number of a system's microgrids."""
    return len(system_of(name).members)
