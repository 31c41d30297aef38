"""Devices of a participant as a system file gives them, and the kinds of numbers they use.

A number is a YAML number: text and booleans are refused, and so are infinities and NaN.

Source: sections 1 and 4 of docs/model.md; defaults marked [C] there are choices of this project.
"""

from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mmg_env.config_checks import HOURS, Problem, refuse

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)]
Positive = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)]
Share = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1)]
Efficiency = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=1)]
Loss = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, lt=1)]
Count = Annotated[int, Field(strict=True, ge=1)]
Switch = Annotated[bool, Field(strict=True)]
Name = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
Label = Annotated[str, StringConstraints(strict=True, min_length=1)]
DayOfNumbers = Annotated[tuple[Number, ...], Field(min_length=HOURS, max_length=HOURS)]
DayOfShares = Annotated[tuple[Share, ...], Field(min_length=HOURS, max_length=HOURS)]


def _all_day(value: Any) -> Any:
    """Repeat a single number for every hour of the day."""
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("wanted", f"must be a number or a list of {HOURS} numbers")
    return (value,) * HOURS


HourlyPrice = Annotated[
    tuple[NonNegative, ...],
    Field(min_length=HOURS, max_length=HOURS),
    BeforeValidator(_all_day),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {
                    "type": "array",
                    "items": {"type": "number", "minimum": 0},
                    "minItems": HOURS,
                    "maxItems": HOURS,
                },
            ]
        }
    ),
]


class Model(BaseModel):
    """Frozen, and no key but the declared ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GridConfig(Model):
    """A member's link to the public grid."""

    import_kw: NonNegative = Field(description="Highest import, kW.")
    export_kw: NonNegative = Field(description="Highest export, kW.")


class DemandConfig(Model):
    """An electric or a heat load: a peak times a profile."""

    peak_kw: NonNegative = Field(description="Load where the profile is 1, kW.")
    profile: Label = Field(description="Name of a per-unit profile of the source.")


class RenewableConfig(Model):
    """Wind or photovoltaic plant: a capacity times a profile."""

    capacity_kw: NonNegative = Field(description="Output where the profile is 1, kW.")
    profile: Label = Field(description="Name of a per-unit profile of the source.")


class ChpConfig(Model):
    """Combined heat and power unit: off, or between its minimum and its capacity."""

    capacity_kw: NonNegative = Field(description="Highest electric output, kW.")
    eta_electric: Efficiency = Field(0.35, description="Electric output per fuel input, 1.")
    eta_heat: Efficiency = Field(0.40, description="Heat output per fuel input, 1.")
    min_share: Share = Field(0.25, description="Lowest output while on, share of capacity.")
    ramp_kw_per_h: NonNegative | None = Field(
        None, description="Ramp limit, kW per h; half the capacity when absent."
    )
    om_per_kwh: NonNegative = Field(0.025, description="Operation and maintenance, currency/kWh.")
    start_cost: NonNegative = Field(30.0, description="Cost of one start, currency.")
    gas_lhv_kwh_per_m3: Positive = Field(9.7, description="Lower heating value, kWh/m3.")

    @model_validator(mode="after")
    def _energy_balance(self) -> Self:
        total = self.eta_electric + self.eta_heat
        if total > 1:
            sentence = (
                f"{self.eta_heat:g} plus eta_electric {self.eta_electric:g} must be at most 1"
            )
            refuse([Problem(("eta_heat",), sentence)])
        return self


class BoilerConfig(Model):
    """Gas boiler."""

    capacity_kw: NonNegative = Field(description="Highest heat output, kW.")
    eta: Efficiency = Field(0.90, description="Heat output per fuel input, 1.")
    gas_lhv_kwh_per_m3: Positive = Field(9.7, description="Lower heating value, kWh/m3.")


class FlexConfig(Model):
    """Load that can be moved within a day."""

    power_kw: NonNegative = Field(description="Highest shift either way, kW.")
    cost_per_kwh: NonNegative = Field(0.05, description="Disutility, currency per kWh shifted.")


class WearConfig(Model):
    """Cost of battery wear: one price per kWh, or segments of rising price by cycle depth."""

    cost_per_kwh: NonNegative = Field(
        0.0, description="Wear of one kWh discharged from the cells, currency/kWh."
    )
    segments: Annotated[int, Field(strict=True, ge=1, le=32)] | None = Field(
        None, description="Number of depth segments; absent: one price, cost_per_kwh."
    )
    replacement_cost: Positive | None = Field(
        None, description="Cost of new cells, currency per kWh of capacity."
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.segments is not None and self.replacement_cost is None:
            sentence = f"{self.segments} needs replacement_cost beside it"
            refuse([Problem(("segments",), sentence)])
        if self.segments is not None and "cost_per_kwh" in self.model_fields_set:
            sentence = f"{self.cost_per_kwh:g} cannot stand beside segments; give one of the two"
            refuse([Problem(("cost_per_kwh",), sentence)])
        return self


class BatteryConfig(Model):
    """Battery with losses in each direction and limits on its state of charge."""

    capacity_kwh: Positive = Field(description="Energy at a state of charge of 1, kWh.")
    power_kw: NonNegative = Field(description="Rating either way, kW at the bus.")
    eta_charge: Efficiency = Field(0.95, description="Stored per kWh charged, 1.")
    eta_discharge: Efficiency = Field(0.95, description="Delivered per kWh taken out, 1.")
    soc_min: Share = Field(0.1, description="Lowest state of charge, share of capacity.")
    soc_max: Share = Field(0.9, description="Highest state of charge, share of capacity.")
    soc_initial: Share = Field(0.5, description="State of charge at reset, share of capacity.")
    self_discharge_per_h: Loss = Field(0.0, description="Share of the energy lost per h, 1/h.")
    wear: WearConfig = Field(WearConfig(), description="Cost of wear.")
    terminal_buy_per_kwh: NonNegative | None = Field(
        None, description="Price of energy short at the end, currency/kWh; absent: the system's."
    )
    terminal_sell_per_kwh: NonNegative | None = Field(
        None, description="Value of energy left at the end, currency/kWh; absent: the system's."
    )

    @model_validator(mode="after")
    def _soc_order(self) -> Self:
        low, start, high = self.soc_min, self.soc_initial, self.soc_max
        if low > high:
            refuse([Problem(("soc_min",), f"{low:g} must be at most soc_max {high:g}")])
        if not low <= start <= high:
            sentence = f"{start:g} must lie between soc_min {low:g} and soc_max {high:g}"
            refuse([Problem(("soc_initial",), sentence)])
        return self
