"""What a system file says, as frozen models: units in the names, unknown keys refused.

Checks between fields of one model stand here, those between models in `config_checks`.

Source: sections 1 to 6 of docs/model.md; defaults marked [C] there are choices of this project.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mmg_env.config_checks import (
    HOURS,
    Problem,
    price_problems,
    refuse,
    system_problems,
    system_remarks,
)
from mmg_env.config_columns import column_problems
from mmg_env.config_devices import (
    BatteryConfig,
    BoilerConfig,
    ChpConfig,
    Count,
    DayOfNumbers,
    DemandConfig,
    Efficiency,
    FlexConfig,
    GridConfig,
    HourlyPrice,
    Label,
    Loss,
    Model,
    Name,
    NonNegative,
    Number,
    Positive,
    RenewableConfig,
    Share,
    Switch,
    WearConfig,
)
from mmg_env.config_rules import Thresholds, TunedRuleConfig
from mmg_env.config_sources import (
    AnalogueSource,
    CsvSource,
    ErcotPrices,
    HistorySource,
    MarkovSource,
    NlPrices,
    PricesConfig,
    ScenesSource,
    SourceConfig,
    YearsConfig,
)

__all__ = [
    "AnalogueSource",
    "BatteryConfig",
    "BoilerConfig",
    "CarbonConfig",
    "CesConfig",
    "ChpConfig",
    "CsvSource",
    "DayAheadConfig",
    "DemandConfig",
    "DynamicTariff",
    "ErcotPrices",
    "FeedInTariff",
    "FlatTariff",
    "FlexConfig",
    "GridConfig",
    "HistorySource",
    "MarketConfig",
    "MarkovSource",
    "MemberConfig",
    "NlPrices",
    "PenaltiesConfig",
    "PoolConfig",
    "PostedConfig",
    "PricesConfig",
    "RenewableConfig",
    "ScenesSource",
    "SourceConfig",
    "SplitsConfig",
    "SystemConfig",
    "TariffConfig",
    "TerminalConfig",
    "Thresholds",
    "TouTariff",
    "TunedRuleConfig",
    "WearConfig",
    "YearsConfig",
]


class MemberConfig(Model):
    """A microgrid or a cluster of houses; every device but the load is optional."""

    name: Name = Field(description="Letters, digits, _ and -, a letter first; unique.")
    link_kw: NonNegative = Field(0.0, description="Rating of the link to the pool, kW.")
    rental_max_kwh: NonNegative = Field(0.0, description="Most storage to rent for a day, kWh.")
    rental_max_kw: NonNegative = Field(0.0, description="Most storage power to rent, kW.")
    grid: GridConfig | None = Field(None, description="Link to the public grid; absent: none.")
    load: DemandConfig = Field(description="Electric load.")
    heat: DemandConfig | None = Field(None, description="Heat load.")
    wind: RenewableConfig | None = Field(None, description="Wind plant.")
    pv: RenewableConfig | None = Field(None, description="Photovoltaic plant.")
    chp: ChpConfig | None = Field(None, description="Combined heat and power unit.")
    boiler: BoilerConfig | None = Field(None, description="Gas boiler.")
    battery: BatteryConfig | None = Field(None, description="Battery.")
    flex: FlexConfig | None = Field(None, description="Movable load.")

    @model_validator(mode="after")
    def _name_is_free(self) -> Self:
        if self.name == "ces":
            sentence = '"ces" is the name of the community storage; choose another'
            refuse([Problem(("name",), sentence)])
        return self


class MarketConfig(Model):
    """Where the community storage buys and sells."""

    price: Literal["retail", "spot"] = Field(description="The members' tariff, or wholesale.")
    buy_adder_per_kwh: Number = Field(0.0, description="Added to the purchase price, currency/kWh.")
    import_kw: NonNegative | None = Field(None, description="Highest import, kW; absent: no limit.")
    export_kw: NonNegative | None = Field(None, description="Highest export, kW; absent: no limit.")


class CesConfig(Model):
    """Community energy storage: battery, pool trade, virtual capacity for rent, markets."""

    battery: BatteryConfig = Field(description="Its battery.")
    link_kw: NonNegative | None = Field(
        None, description="Bound of its pool nomination, kW; absent: the battery's power."
    )
    market: MarketConfig = Field(description="Its energy market.")
    eta_converter: Efficiency = Field(0.98, description="Bus converter, each way, 1.")
    overbooking: NonNegative = Field(1.2, description="Rentable share of the battery, 1.")
    service_fee_per_kwh: NonNegative = Field(
        0.02, description="Fee on virtual battery power, currency/kWh."
    )
    markets: Switch = Field(True, description="Whether it may offer reserve.")
    regulation_per_kw_h: HourlyPrice = Field(
        (0.0,) * HOURS, description="Pay for regulation, currency per kW and h; one or 24 numbers."
    )
    spinning_per_kw_h: HourlyPrice = Field(
        (0.0,) * HOURS, description="Pay for spinning reserve, currency per kW and h; one or 24."
    )
    call_probability: Share = Field(0.02, description="Spinning reserve called, per h.")
    rental: Switch = Field(True, description="Whether virtual capacity is for rent.")
    rental_per_kwh: NonNegative = Field(0.0, description="Rent for a day, currency/kWh.")
    rental_per_kw: NonNegative = Field(0.0, description="Rent for a day, currency/kW.")
    pool_out: Switch = Field(True, description="Whether it may send to the pool.")
    pool_in: Switch = Field(True, description="Whether it may receive from the pool.")


class PostedConfig(Model):
    """Posted pool prices as factors of the tariff, by kind of pair."""

    ces_to_member: NonNegative = Field(0.92, description="Storage to member, 1.")
    member_to_ces: NonNegative = Field(0.60, description="Member to storage, 1.")
    member_to_member: NonNegative = Field(0.60, description="Member to member, 1.")


class PoolConfig(Model):
    """The community bus over which participants exchange energy."""

    enabled: Switch = Field(True, description="Whether there is a pool at all.")
    members: Switch = Field(True, description="Whether members may trade with one another.")
    loss: Loss = Field(0.01, description="Share lost between sender and receiver, 1.")
    fee_per_kwh: NonNegative = Field(0.01, description="Network fee, currency per kWh received.")
    price_rule: Literal["mid_market", "sdr", "posted", "auction", "none"] = Field(
        "mid_market", description="How pool energy is priced."
    )
    posted: PostedConfig = Field(PostedConfig(), description="Factors of the rule `posted`.")


class _Tariff(Model):
    gas_per_m3: NonNegative = Field(description="Gas, currency/m3.")
    demand_charge_per_kw: NonNegative = Field(
        0.0, description="Charge on a member's import peak, currency/kW."
    )
    demand_period_days: Count = Field(1, description="Days after which the peak is reset, d.")


class FlatTariff(_Tariff):
    """One price for purchase and one for sale."""

    kind: Literal["flat"]
    buy_per_kwh: NonNegative = Field(description="Purchase, currency/kWh.")
    sell_per_kwh: Number = Field(description="Sale, currency/kWh.")

    @model_validator(mode="after")
    def _no_free_money(self) -> Self:
        if self.sell_per_kwh > self.buy_per_kwh:
            sentence = f"{self.sell_per_kwh:g} must be at most buy_per_kwh {self.buy_per_kwh:g}"
            refuse([Problem(("sell_per_kwh",), sentence)])
        return self


class TouTariff(_Tariff):
    """Time of use: a price for each hour of the day."""

    kind: Literal["tou"]
    buy_per_kwh: DayOfNumbers = Field(description="Purchase by hour of the day, currency/kWh.")
    sell_per_kwh: DayOfNumbers = Field(description="Sale by hour of the day, currency/kWh.")

    @model_validator(mode="after")
    def _no_free_money(self) -> Self:
        refuse(price_problems(self.buy_per_kwh, self.sell_per_kwh))
        return self


class DynamicTariff(_Tariff):
    """Purchase max(0, factor*w + adder), sale min(factor*w + adder, purchase), w wholesale."""

    kind: Literal["dynamic"]
    buy_factor: NonNegative = Field(1.09, description="Purchase per wholesale price, 1.")
    buy_adder_per_kwh: Number = Field(description="Added to the purchase, currency/kWh.")
    sell_factor: NonNegative = Field(description="Sale per wholesale price, 1.")
    sell_adder_per_kwh: Number = Field(description="Added to the sale, currency/kWh.")
    price_scale_per_kwh: Positive = Field(
        0.5, description="A high price, for scaling observations only, currency/kWh."
    )


class FeedInTariff(_Tariff):
    """Purchase by time of use, sale min(factor*w + adder, purchase), w wholesale."""

    kind: Literal["feed_in"]
    buy_per_kwh: DayOfNumbers = Field(description="Purchase by hour of the day, currency/kWh.")
    sell_factor: NonNegative = Field(description="Sale per wholesale price, 1.")
    sell_adder_per_kwh: Number = Field(0.0, description="Added to the sale, currency/kWh.")

    @model_validator(mode="after")
    def _no_free_money(self) -> Self:
        refuse(price_problems(self.buy_per_kwh, (0.0,) * HOURS))
        return self


class CarbonConfig(Model):
    """Carbon price and intensities."""

    price_per_kg: NonNegative = Field(0.0, description="Price of emissions, currency/kg.")
    grid_kg_per_kwh: NonNegative = Field(0.4, description="Intensity of imports, kg/kWh.")
    gas_kg_per_m3: NonNegative = Field(2.0, description="Intensity of gas, kg/m3.")


class TerminalConfig(Model):
    """What stored energy is worth at the end of an episode."""

    buy_per_kwh: NonNegative = Field(1.14, description="Price of a shortfall, currency/kWh.")
    sell_per_kwh: NonNegative = Field(0.19, description="Value of a surplus, currency/kWh.")

    @model_validator(mode="after")
    def _no_free_money(self) -> Self:
        if self.sell_per_kwh > self.buy_per_kwh:
            sentence = f"{self.sell_per_kwh:g} must be at most buy_per_kwh {self.buy_per_kwh:g}"
            refuse([Problem(("sell_per_kwh",), sentence)])
        return self


class PenaltiesConfig(Model):
    """What an unbalanced bus costs."""

    unserved_per_kwh: NonNegative = Field(20.0, description="Unserved load, currency/kWh.")
    unserved_heat_per_kwh: NonNegative = Field(20.0, description="Unserved heat, currency/kWh.")
    spill_per_kwh: NonNegative = Field(5.0, description="Surplus with no outlet, currency/kWh.")


class DayAheadConfig(Model):
    """What is committed at the first step of a day."""

    pool: Switch = Field(False, description="Whether the pool schedule is firm a day ahead.")
    grid: Switch = Field(False, description="Whether the community nominates its grid exchange.")


class SplitsConfig(Model):
    """Number of episodes in each frozen split."""

    val: Count = Field(64, description="Episodes of `val`.")
    test: Count = Field(128, description="Episodes of `test`.")
    shift: Count = Field(64, description="Episodes of `shift`.")


TariffConfig = Annotated[
    FlatTariff | TouTariff | FeedInTariff | DynamicTariff, Field(discriminator="kind")
]


class SystemConfig(Model):
    """A community, its prices, and where its episodes come from."""

    name: Label = Field(description="Name of the system or suite.")
    description: str = Field("", description="What it is, for people.")
    currency: Label = Field(description="Label of every amount of money.")
    dt_h: Positive = Field(1.0, description="Length of a step, h; 24/dt_h is an integer.")
    episode_h: Count = Field(24, description="Length of an episode, h; a multiple of 24.")
    reward_scale: Positive = Field(1.0, description="Reward per unit of currency saved.")
    member_export: Switch = Field(True, description="Whether members may sell to the grid.")
    fade: Switch | None = Field(
        None, description="Whether capacity fades; absent: if the episode is longer than 168 h."
    )
    members: tuple[MemberConfig, ...] = Field(min_length=1, description="The members.")
    ces: CesConfig | None = Field(None, description="Community energy storage.")
    pool: PoolConfig = Field(PoolConfig(), description="The community bus.")
    tariff: TariffConfig = Field(description="Retail prices.")
    carbon: CarbonConfig = Field(CarbonConfig(), description="Carbon price and intensities.")
    terminal: TerminalConfig = Field(TerminalConfig(), description="Value of energy left.")
    penalties: PenaltiesConfig = Field(PenaltiesConfig(), description="Prices of imbalance.")
    day_ahead: DayAheadConfig = Field(DayAheadConfig(), description="Firm commitments.")
    allow_arbitrage: Switch = Field(
        False, description="Whether retail and wholesale may be played against each other."
    )
    source: SourceConfig | None = Field(None, description="Where episodes come from.")
    splits: SplitsConfig = Field(SplitsConfig(), description="Sizes of the frozen splits.")
    score_zero: Label = Field("time_of_use", description="Policy whose score is 0.")
    tuned_rule: TunedRuleConfig | None = Field(None, description="Policy `tuned_rule`.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        refuse([*system_problems(self), *column_problems(self)])
        return self

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is legal but probably not meant, in sentences."""
        return tuple(system_remarks(self))

    @property
    def fades(self) -> bool:
        """Whether battery capacity fades, the default resolved."""
        return self.episode_h > 168 if self.fade is None else self.fade
