"""Everything that the page of `mmg reproduce s1-robust` is about, computed in parallel.

Jobs know nothing of one another, so their number at a time changes no result but times, and what
ends by time.

Source: our choice.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from experiments.reproduce import s1_robust_methods as methods
from experiments.reproduce import s1_robust_sets as sets
from experiments.reproduce import s1_robust_sweeps as sweeps
from experiments.reproduce.jobs import Job, run
from experiments.reproduce.s1_robust_cases import Size, Solved
from experiments.reproduce.s1_robust_methods import Contest, Member, Shortfall
from experiments.reproduce.s1_robust_sets import Fitted
from experiments.reproduce.s1_robust_sweeps import DAYS, Bounds, Budgeted, Shed

DISCRETE: Final = "discrete"


class Findings(NamedTuple):
    """What was found; members by their number.

    Attributes:
        size: how much was computed.
        members: each member's day in every way.
        community: the day of all with their storage.
        contests: of both masters, by member.
        shortfalls: of the heuristic, by member and first stage.
        budgets: by member and factor of the budgets; None is the box.
        tariffs: by member and deviation; `DISCRETE` are tariffs as scenes.
        shed: by member, kind of day and price of what is not served.
        fitted: sets fitted to errors, by member.
    """

    size: Size
    members: Mapping[int, Member]
    community: Solved
    contests: Mapping[int, list[Contest]]
    shortfalls: Mapping[int, list[Shortfall]]
    budgets: Mapping[int, Mapping[float | None, Budgeted]]
    tariffs: Mapping[int, Mapping[float | str, Bounds]]
    shed: Mapping[int, Mapping[tuple[str, float], Shed]]
    fitted: Mapping[int, Fitted]


def factors(size: Size) -> tuple[float | None, ...]:
    """Return the factors of the budgets, the box last."""
    return (*size.factors, None)


def gather(size: Size, workers: int) -> Findings:
    """Compute everything.

    Args:
        size: how much.
        workers: processes.
    """
    found = run(list(jobs(size)), workers)
    kinds = [(kind, price) for kind in DAYS for price in size.unserved]
    tariffs: list[float | str] = [*size.tariffs, DISCRETE]
    return Findings(
        size,
        {m: found["member", m] for m in size.members},
        found["community",],
        {m: [found["contest", m, count] for count in size.scenes] for m in size.members},
        {m: found["shortfall", m] for m in size.members},
        {m: {f: found["budget", m, f] for f in factors(size)} for m in size.members},
        {m: {t: found["tariff", m, t] for t in tariffs} for m in size.members},
        {m: {at: found["shed", m, *at] for at in kinds} for m in size.members},
        {m: found["fitted", m] for m in size.members},
    )


def jobs(size: Size) -> Iterator[Job]:
    """Yield what is to be computed, each once; what takes long comes first."""
    yield Job(("community",), methods.community_day, (size,))
    for member in size.members:
        yield Job(("fitted", member), sets.fitted, (member, size))
        yield Job(("member", member), methods.member_day, (member, size))
    for count in sorted(size.scenes, reverse=True):
        for member in size.members:
            yield Job(("contest", member, count), methods.contest, (member, count, size))
    for member in size.members:
        for factor in factors(size):
            yield Job(("budget", member, factor), sweeps.budgeted, (member, factor, size))
        yield Job(("shortfall", member), methods.shortfalls, (member, size))
        yield from _prices(member, size)


def _prices(member: int, size: Size) -> Iterator[Job]:
    """Yield the sweeps of prices."""
    for deviation in size.tariffs:
        yield Job(("tariff", member, deviation), sweeps.tariffed, (member, deviation, size))
    yield Job(("tariff", member, DISCRETE), sweeps.discrete_tariffs, (member, size))
    for kind in DAYS:
        for price in size.unserved:
            yield Job(("shed", member, kind, price), sweeps.shed, (member, kind, price, size))
