"""What a system file says about where its episodes come from: one model per kind of source.

Source: section 7 of docs/model.md; defaults marked [C] there are choices of this project.
"""

from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from mmg_env.config_checks import Problem, did_you_mean, refuse
from mmg_env.config_devices import (
    Count,
    DayOfNumbers,
    DayOfShares,
    Label,
    Loss,
    Model,
    NonNegative,
    Positive,
    Share,
)

Quality = Literal["perfect", "good", "poor", "none"]


class _Source(Model):
    forecast: Quality = Field(
        "good", description="What is foreseen: perfect, good, poor, none (climatology only)."
    )


class _Errors(_Source):
    """How forecasts of real series err."""

    price_error: NonNegative = Field(0.22, description="Sd of price forecasts, share of level.")
    price_error_spikes: NonNegative = Field(
        0.0, description="Growth of price errors with the price over its level; 1: in proportion."
    )
    wind_error: NonNegative = Field(0.17, description="Sd of wind forecasts, share of capacity.")
    pv_error: NonNegative = Field(0.40, description="Sd of PV forecasts, share of climatology.")
    load_error: NonNegative = Field(0.08, description="Sd of load forecasts, share of the peak.")
    imbalance_short_per_kwh: NonNegative = Field(
        0.06, description="Scale of the price of being short, currency/kWh."
    )
    imbalance_long_per_kwh: NonNegative = Field(
        0.025, description="Scale of the price of being long, currency/kWh."
    )


class ScenesSource(_Source):
    """Typical days: season times scene, from daily profiles."""

    kind: Literal["scenes"]
    profiles: dict[str, DayOfShares] = Field(description="Per-unit profiles by hour of the day.")
    scene_probabilities: dict[str, tuple[Share, ...]] = Field(
        default={}, description="Probability of each of the 5 typical days, by member."
    )
    scene_correlation: Share = Field(0.5, description="Correlation of the members' scenes, 1.")
    tariff_deviation: Loss = Field(0.15, description="Largest relative error of the tariff, 1.")
    wholesale_per_kwh: DayOfNumbers | None = Field(
        None, description="Expected wholesale price by hour of the day, currency/kWh."
    )
    wholesale_sd: NonNegative = Field(
        0.134, description="Sd of the wholesale price, share of the expected price."
    )


class YearsConfig(Model):
    """Calendar years of each split; no year serves two splits."""

    train: tuple[Count, ...] = Field(min_length=1, description="Years of `train`.")
    val: tuple[Count, ...] = Field(min_length=1, description="Years of `val`.")
    test: tuple[Count, ...] = Field(min_length=1, description="Years of `test`.")
    shift: tuple[Count, ...] = Field(min_length=1, description="Years of `shift`.")

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        refuse(self._shared_years())
        return self

    def _shared_years(self) -> Iterator[Problem]:
        taken: dict[int, str] = {}
        for split in ("train", "val", "test", "shift"):
            for position, year in enumerate(getattr(self, split)):
                if year in taken:
                    sentence = f"{year} is used by {taken[year]} already; a year serves one split"
                    yield Problem((split, position), sentence)
                taken[year] = split


class NlPrices(Model):
    """Dutch day-ahead prices, split by calendar years."""

    kind: Literal["nl"]
    years: YearsConfig = Field(description="Calendar years of each split.")


class ErcotPrices(Model):
    """Texan day-ahead prices of 2021 and 2022, scarcity included; split by calendar weeks."""

    kind: Literal["ercot"]
    cap_per_kwh: Positive = Field(5.0, description="Highest price, currency/kWh; spikes are cut.")


PricesConfig = Annotated[NlPrices | ErcotPrices, Field(discriminator="kind")]


class AnalogueSource(_Errors):
    """Whole days drawn from history by likeness."""

    kind: Literal["analogue"]
    prices: PricesConfig = Field(description="Whose prices, and how they are split.")
    outage_start_per_h: Share = Field(
        0.0, description="Probability that the grid fails in an hour, per h."
    )
    outage_mean_h: Positive = Field(4.0, description="Mean length of an outage, h.")
    derated_day_share: Share = Field(
        0.0, description="Probability that a day's grid links are derated, 1."
    )
    derated_to: Share = Field(0.6, description="What is left of the links on such a day, 1.")


class MarkovSource(_Source):
    """A price and a load that move between a few states: small enough to be solved exactly."""

    kind: Literal["markov"]
    spot_per_kwh: DayOfNumbers = Field(description="Mean price by hour, currency/kWh.")
    spot_sd: Share = Field(0.3, description="Sd of the price, share of the mean.")
    spot_persistence: Share = Field(0.8, description="Autocorrelation of the price, per h.")
    load_profile: DayOfShares = Field(description="Mean load by hour, share of the peak.")
    load_step: Share = Field(0.2, description="From one load state to the next, share of the peak.")
    load_persistence: Share = Field(0.6, description="Autocorrelation of the load, per h.")


class HistorySource(_Errors):
    """Real days in the order in which they happened, with standard loads; nothing is drawn."""

    kind: Literal["history"]
    years: YearsConfig = Field(description="Calendar years of each split.")

    @property
    def prices(self) -> NlPrices:
        """Whose prices: the Dutch ones of the split's years."""
        return NlPrices(kind="nl", years=self.years)


def _is_date(text: str) -> str:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text:
        raise PydanticCustomError("wanted", "must be a date such as 2024-03-31")
    return text


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _is_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        near = did_you_mean(text, _zones())
        sentence = f"must be a time zone such as Europe/Amsterdam or UTC{near}"
        raise PydanticCustomError("wanted", sentence) from None
    return text


Day = Annotated[str, Field(strict=True), AfterValidator(_is_date)]
Zone = Annotated[str, Field(strict=True), AfterValidator(_is_zone)]


class ColumnConfig(Model):
    """A column of the user's file."""

    column: Label = Field(description="Name of the column in the file.")
    unit: Literal["kW", "MW", "per_unit", "per_kwh", "per_MWh"] = Field(
        description="Powers: kW, MW, per_unit (of capacity or peak); prices: per_kwh, per_MWh."
    )


class RangesConfig(Model):
    """First and last day of each split, both included; no day serves two splits."""

    train: tuple[Day, Day] = Field(description="First and last day of `train`.")
    val: tuple[Day, Day] = Field(description="First and last day of `val`.")
    test: tuple[Day, Day] = Field(description="First and last day of `test`.")
    shift: tuple[Day, Day] = Field(description="First and last day of `shift`.")

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        refuse(self._faults())
        return self

    def _faults(self) -> Iterator[Problem]:
        earlier: dict[str, tuple[str, str]] = {}
        for split in ("train", "val", "test", "shift"):
            first, last = getattr(self, split)
            if first > last:
                yield Problem((split,), f"{first} must not be after {last}")
            for other, (begin, end) in earlier.items():
                if first <= end and begin <= last:
                    sentence = f"{first} to {last} shares days with {other}, {begin} to {end}"
                    yield Problem((split,), sentence)
            earlier[split] = (first, last)


class CsvSource(_Errors):
    """The user's own series, replayed: nothing is drawn but forecast errors and reserve calls."""

    kind: Literal["csv"]
    file: Label = Field(description="CSV or Parquet file, from the folder of the YAML file.")
    sha256: Label | None = Field(
        None, description="Hash that the file must have; absent: taken when the YAML is loaded."
    )
    delimiter: Literal[",", ";", "tab"] = Field(",", description="What separates CSV columns.")
    decimal: Literal[".", ","] = Field(".", description="What precedes decimals in CSV.")
    time_column: Label = Field(description="Name of the column with times.")
    time_format: Label | None = Field(
        None,
        description="As of strptime, or iso; absent: times of a Parquet file, which need none.",
    )
    time_zone: Zone = Field(
        description="Zone of times without offset, and of the days: Europe/Amsterdam, UTC ..."
    )
    label: Literal["start", "end"] = Field(
        description="Whether a time is the start or the end of its interval."
    )
    columns: dict[str, ColumnConfig] = Field(
        description="By series: member.load, .heat, .wind, .pv; spot, short_premium, long_premium."
    )
    splits: RangesConfig = Field(description="Days of each split.")

    @model_validator(mode="after")
    def _separators_differ(self) -> Self:
        if self.delimiter == self.decimal:
            refuse([Problem(("decimal",), "must differ from delimiter, which is a comma as well")])
        return self


SourceConfig = Annotated[
    ScenesSource | AnalogueSource | MarkovSource | HistorySource | CsvSource,
    Field(discriminator="kind"),
]
