"""What a system file says about where its episodes come from: one model per kind of source.

Source: section 7 of docs/model.md; defaults marked [C] there are choices of this project.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mmg_env.config_checks import Problem, refuse
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


class AnalogueSource(_Source):
    """Whole days drawn from history by likeness."""

    kind: Literal["analogue"]
    prices: PricesConfig = Field(description="Whose prices, and how they are split.")
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


class HistorySource(_Source):
    """Real days in the order in which they happened, with standard loads; nothing is drawn."""

    kind: Literal["history"]
    years: YearsConfig = Field(description="Calendar years of each split.")


class CsvSource(_Source):
    """The user's own series, replayed."""

    kind: Literal["csv"]
    file: Label = Field(description="CSV or Parquet file, from the folder of the system file.")


SourceConfig = Annotated[
    ScenesSource | AnalogueSource | MarkovSource | HistorySource | CsvSource,
    Field(discriminator="kind"),
]
