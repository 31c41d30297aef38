"""The command `mmg realism`: drawn days beside measured ones, statistic by statistic, with bands.

*Prices* are drawn from days of 2023 and compared with 2024, which they have never seen. Sizes are
relative to the year's mean. A band is 2024's value, give or take 1.25 times the largest change from
one real year to the next between 2015 and 2024: the years' own change, and a quarter more because
drawing adds an error of its own. That the mean survives the drawing is tested against 2023.

*Couplings* of price with renewables and load are compared with Germany's of 2012 to 2017, hourly
and as daily means, less the season. The band is the range over those years, widened by .05 for a
sample of 128 weeks, and towards 0 by the factor .84, the root of the correlation of wind at
neighbouring plants, because a community's few plants follow a country's price less closely than
the country's plants do.

*Sites* are compared with the pairs of PV plants (28) and of wind plants (66) of a German year.

*Errors of price forecasts* are compared with published forecasts (two models, five markets, two
years each). Tails are heavier than normal ones, but far less heavy than those markets'.

Source: our choice; references are figures computed from the series that docs/data.md names.
"""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from experiments.records import write_atomically
from mmg_env.data import NAMES, check, load
from mmg_env.sources.statistics import (
    coupling,
    error_statistics,
    next_day_errors,
    price_errors,
    price_statistics,
    real_year,
    spot_of,
)
from mmg_env.system import System, load_system

Array = NDArray[np.float64]

SUITE: Final = "community_real"
HELD_OUT: Final = 2024
YEARS: Final = tuple(range(2015, 2025))
DRAWN_YEARS: Final = 16  # generated years
WEEKS: Final = 128
WIDER: Final = 1.25
LOCAL: Final = 0.84
SAMPLE: Final = 0.05
UNBOUNDED: Final = np.inf

PRICES: Final = {
    "sd": "standard deviation, of the mean",
    "quantile_1": "1 % quantile, of the mean",
    "quantile_99": "99 % quantile, of the mean",
    "kurtosis": "excess kurtosis",
    "autocorrelation_1": "autocorrelation, 1 h",
    "autocorrelation_24": "autocorrelation, 24 h",
    "autocorrelation_168": "autocorrelation, 168 h",
    "daily_spread": "daily spread, of the mean",
    "daily_spread_sd": "its standard deviation, of the mean",
    "negative_share": "share of negative hours",
    "ramp_sd": "hourly change, sd, of the mean",
    "ramp_99": "hourly change, 99 % quantile, of the mean",
}
# Weakest and strongest of the years 2012 to 2017 in Germany.
COUPLINGS: Final = {
    "price_renewables": (-0.473, -0.671),
    "price_renewables_daily": (-0.532, -0.714),
    "price_load": (0.503, 0.611),
    "price_load_daily": (0.529, 0.684),
}
# Lowest and highest of all pairs of plants in a German year, hourly.
SITES: Final = {
    "pv_ab": (0.559, 0.981),
    "pv_ac": (0.559, 0.981),
    "pv_bc": (0.559, 0.981),
    "wind_ac": (0.336, 0.957),
}


class Row(NamedTuple):
    """One statistic.

    Attributes:
        group: prices, couplings, sites or forecast errors.
        name: what it is.
        drawn: its value in drawn days.
        reference: measured value, or the range of measured ones.
        low: lowest value allowed.
        high: highest value allowed.
    """

    group: str
    name: str
    drawn: float
    reference: str
    low: float
    high: float

    @property
    def in_band(self) -> bool:
        """Whether the drawn value is allowed."""
        return self.low <= self.drawn <= self.high


def realism(
    plot: Annotated[Path | None, typer.Option(help="File for a picture (PNG).")] = None,
    markdown: Annotated[Path | None, typer.Option(help="File for the table as Markdown.")] = None,
) -> None:
    """Compare drawn days with measured ones; exit 1 where a statistic leaves its band."""
    for name in NAMES:  # what is drawn from a wrong table can look as real as from a right one
        check(name, load(name))
    rows = study()
    table = Table("", "", "drawn", "measured", "band", "", box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        verdict = "" if row.in_band else "OUT"
        table.add_row(row.group, row.name, f"{row.drawn:.3f}", row.reference, band(row), verdict)
    Console(width=110).print(table)
    if markdown is not None:
        text = markdown_table(rows)
        write_atomically(markdown, lambda file: file.write_text(text, encoding="utf-8"))
    if plot is not None:
        from experiments.realism_plot import draw

        write_atomically(plot, draw)
    out = [row.name for row in rows if not row.in_band]
    typer.echo(f"{len(rows) - len(out)} of {len(rows)} statistics are in their bands")
    if out:
        raise typer.Exit(1)


def band(row: Row) -> str:
    """Write a band."""
    if row.high == UNBOUNDED:
        return f"at least {row.low:.3g}"
    return f"{row.low:.3g} ... {row.high:.3g}"


def markdown_table(rows: Iterable[Row]) -> str:
    """Return the table as Markdown."""
    lines = ["| | statistic | drawn | measured | band |", "|---|---|---|---|---|"]
    for row in rows:
        lines.append(
            f"| {row.group} | {row.name} | {row.drawn:.3f} | {row.reference} | {band(row)} |"
        )
    return "\n".join(lines) + "\n"


def study() -> list[Row]:
    """Return all rows."""
    return [*price_rows(), *coupling_rows(), *site_rows(), *forecast_rows()]


def price_rows() -> list[Row]:
    """Return prices drawn from 2023 beside 2024."""
    found = price_statistics(drawn_prices())
    real = {year: price_statistics(real_year(year)) for year in YEARS}
    share = found["mean"] / real[HELD_OUT - 1]["mean"]
    rows = [Row("prices", "mean, of that of the days drawn from", share, "1", 0.95, 1.05)]
    for name, words in PRICES.items():
        values = np.array([real[year][name] for year in YEARS])
        change = WIDER * float(np.abs(np.diff(values)).max())
        held_out = real[HELD_OUT][name]
        rows.append(
            Row(
                "prices",
                words,
                found[name],
                f"{held_out:.3f}",
                held_out - change,
                held_out + change,
            )
        )
    return rows


def coupling_rows() -> list[Row]:
    """Return couplings of price with renewables and load in the test split."""
    rows = []
    for name, (weak, strong) in COUPLINGS.items():
        near = LOCAL * weak - np.sign(weak) * SAMPLE
        far = strong + np.sign(strong) * SAMPLE
        low, high = sorted((near, far))
        words = name.replace("_daily", ", daily means").replace("price_", "price and ")
        rows.append(Row("couplings", words, couplings()[name], f"{weak} ... {strong}", low, high))
    return rows


def site_rows() -> list[Row]:
    """Return correlations between sites in the test split."""
    return [
        Row(
            "sites",
            f"{name.split('_')[0]}, sites {name[-2]} and {name[-1]}",
            couplings()[name],
            f"{low} ... {high}",
            low,
            high,
        )
        for name, (low, high) in SITES.items()
    ]


def forecast_rows() -> list[Row]:
    """Return errors of price forecasts beside published ones."""
    system = community()
    errors, naive = price_errors(system, "test", range(WEEKS))
    later = next_day_errors(system, "test", range(WEEKS))
    mean = np.abs(errors).mean(axis=0)
    found = error_statistics(later)
    group = "forecasts"
    share, ahead = _ratio(later, naive), float(mean[12] / mean[0])
    of_day, together = found["day_to_night"], found["autocorrelation_1"]
    return [
        Row(group, "error, of yesterday's price's", share, ".42 ... .68", 0.35, 0.75),
        Row(group, "error 12 h ahead, of that at once", ahead, "-", 1.2, UNBOUNDED),
        Row(group, "autocorrelation, 1 h", together, ".42 ... .86", 0.42, 0.86),
        Row(group, "excess kurtosis", found["kurtosis"], "45 ... 2858", 1.0, UNBOUNDED),
        Row(group, "error by day, of that at night", of_day, "1.33 ... 1.52", 1.2, 1.65),
    ]


def _ratio(errors: Array, naive: Array) -> float:
    return float(np.abs(errors).mean() / np.abs(naive).mean())


@lru_cache(maxsize=1)
def community() -> System:
    """Return the suite that is studied."""
    return load_system(SUITE)


@lru_cache(maxsize=1)
def couplings() -> dict[str, float]:
    """Return all correlations of the test split."""
    return coupling(community(), "test", range(WEEKS))


@lru_cache(maxsize=1)
def drawn_prices() -> Array:
    """Return (years, hours) of prices drawn from the days of 2023."""
    return spot_of(load_system(SUITE, {"episode_h": 8760}), "train", range(DRAWN_YEARS))
