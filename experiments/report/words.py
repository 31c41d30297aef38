"""The leaderboard's columns and how their numbers are written, on the terminal and on the page."""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

from experiments.report.leaderboard import Row
from experiments.statistics import Interval

NOTHING: Final = "\u2013"


class Text(NamedTuple):
    """A cell: its value, and the interval around it if it has one."""

    value: str
    spread: str = ""


class Column(NamedTuple):
    """A column of the leaderboard."""

    title: str
    unit: str
    meaning: str
    text: Callable[[Row], Text]


def columns(zero: str, currency: str) -> tuple[Column, ...]:
    """Return the columns in order; the first is the policy's name."""
    return (
        Column("policy", "", "its name", lambda row: Text(row.policy)),
        Column("cost", currency, "mean per episode", lambda row: Text(amount(row.cost))),
        Column(
            "saving",
            currency,
            f"against {zero}, mean per episode, with the paired 95 % bootstrap interval",
            lambda row: Text(amount(row.saving.value), spread(row.saving, amount)),
        ),
        Column(
            "score",
            "",
            f"share of the possible saving: {zero} is 0, the oracle's bound 1; a ratio of sums "
            "over the episodes, with the paired 95 % bootstrap interval",
            lambda row: Text(number(row.score.value), spread(row.score, number)),
        ),
        Column(
            "regret",
            "",
            "cost above the oracle's bound, as a share of the bound",
            lambda row: Text(percent(row.regret, 1)),
        ),
        Column(
            "CVaR95",
            currency,
            "mean of the worst 5 % of episodes",
            lambda row: Text(amount(row.cvar)),
        ),
        _mean("unserved", "kWh", "load and heat not served", ("unserved_kwh", "unserved_heat_kwh")),
        _mean("wear", currency, "what cycling takes from the batteries", ("wear",)),
        _mean("cycles", "", "equivalent full cycles by rainflow", ("equivalent_full_cycles",), 2),
        _mean("CO2", "t", "emissions of imports and gas", ("co2_kg",), 1, 1e-3),
        Column(
            "decision",
            "ms",
            "median time of a decision",
            lambda row: Text(number(row.decision_ms)),
        ),
    )


def _mean(
    title: str,
    unit: str,
    meaning: str,
    names: tuple[str, ...],
    digits: int = 0,
    scale: float = 1.0,
) -> Column:
    def text(row: Row) -> Text:
        value = scale * sum(row.means.get(name, math.nan) for name in names)
        return Text(amount(value) if digits == 0 else number(value, digits))

    return Column(title, unit, f"{meaning}, mean per episode", text)


def amount(value: float) -> str:
    """Write an amount without decimals, its thousands apart."""
    if not math.isfinite(value):
        return NOTHING
    return f"{round(value) + 0:,d}".replace(",", "\u202f").replace("-", "\u2212")


def number(value: float, digits: int = 2) -> str:
    """Write a number with a few decimals."""
    if not math.isfinite(value):
        return NOTHING
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\u2212")


def percent(share: float, digits: int = 0) -> str:
    """Write a share as a percentage."""
    return NOTHING if not math.isfinite(share) else f"{number(100.0 * share, digits)} %"


def spread(interval: Interval, write: Callable[[float], str]) -> str:
    """Write the bounds of an interval; nothing where there are none."""
    if not math.isfinite(interval.low) or interval.low == interval.high:
        return ""
    return f"{write(interval.low)} \u2026 {write(interval.high)}"
