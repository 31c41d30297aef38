"""Names of the columns of every array that the kernel reads or writes.

The kernel is compiled scalar code over plain float64 arrays; this page is the one place that
says which number stands where. Arrays over participants have one row per member, in the order
of the configuration, and one last row for the community energy storage (CES) if there is one.

Source: our choice.
"""

from enum import IntEnum, auto
from types import MappingProxyType
from typing import Final


class Columns(IntEnum):
    """Column numbers from 0 upwards, in the order in which they are written."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[int]) -> int:  # noqa: ARG004
        return count

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the column names in order."""
        return tuple(cls.__members__)


class W(Columns):
    """World: one number per system."""

    dt_h = auto()
    steps_per_day = auto()
    episode_steps = auto()
    has_ces = auto()
    pool_enabled = auto()
    pool_members = auto()
    pool_out = auto()
    pool_in = auto()
    member_export = auto()
    rental = auto()
    markets = auto()
    day_ahead_pool = auto()
    day_ahead_grid = auto()
    fade = auto()
    pool_loss = auto()
    pool_fee_per_kwh = auto()
    price_rule = auto()
    posted_ces_to_member = auto()
    posted_member_to_ces = auto()
    posted_member_to_member = auto()
    eta_converter = auto()
    overbooking = auto()
    service_fee_per_kwh = auto()
    rental_per_kwh = auto()
    rental_per_kw = auto()
    gas_per_m3 = auto()
    carbon_per_kg = auto()
    gas_kg_per_m3 = auto()
    unserved_per_kwh = auto()
    unserved_heat_per_kwh = auto()
    spill_per_kwh = auto()
    demand_charge_per_kw = auto()
    demand_period_steps = auto()
    nomination_range_kw = auto()
    quote_max_per_kwh = auto()
    reward_scale = auto()


class P(Columns):
    """Table: one row per participant."""

    battery_kw = auto()
    capacity_kwh = auto()
    soc_min = auto()
    soc_max = auto()
    soc_initial = auto()
    eta_charge = auto()
    eta_discharge = auto()
    retention = auto()
    terminal_buy_per_kwh = auto()
    terminal_sell_per_kwh = auto()
    replacement_cost_per_kwh = auto()
    link_kw = auto()
    import_kw = auto()
    export_kw = auto()
    chp_kw = auto()
    chp_min_kw = auto()
    chp_ramp_kw = auto()
    chp_edge_kw = auto()
    chp_gas_m3_per_kwh = auto()
    chp_heat_per_kwh = auto()
    chp_om_per_kwh = auto()
    chp_start_cost = auto()
    boiler_kw = auto()
    boiler_gas_m3_per_kwh = auto()
    flex_kw = auto()
    flex_cost_per_kwh = auto()
    rental_max_kwh = auto()
    rental_max_kw = auto()


class A(Columns):
    """Action: what one participant asks for in one hour."""

    battery_kw = auto()
    chp_kw = auto()
    flex_kw = auto()
    virtual_kw = auto()
    pool_kw = auto()
    quote_per_kwh = auto()
    regulation_kw = auto()
    spinning_kw = auto()
    rental_kwh = auto()
    rental_kw = auto()


class S(Columns):
    """State: the fixed part of a participant's block; wear segments and pool plan follow."""

    capacity_kwh = auto()
    wear_today = auto()
    chp_kw = auto()
    backlog_kwh = auto()
    virtual_kwh = auto()
    rental_kwh = auto()
    rental_kw = auto()
    peak_kw = auto()
    quote_per_kwh = auto()


class X(Columns):
    """Exogenous: the shared columns after wind, PV, load and heat of every member."""

    price_buy = auto()
    price_sell = auto()
    ces_buy = auto()
    ces_sell = auto()
    spot = auto()
    short_premium = auto()
    long_premium = auto()
    rho_regulation = auto()
    rho_spinning = auto()
    spin_call = auto()
    grid_up = auto()
    derating = auto()
    carbon_kg_per_kwh = auto()
    nomination_base_kw = auto()


class F(Columns):
    """Flows: what happened to one participant in one hour."""

    battery_kw = auto()
    chp_kw = auto()
    flex_kw = auto()
    virtual_kw = auto()
    nominated_kw = auto()
    quote_per_kwh = auto()  # in force: the hour's, or the day's where the pool is scheduled
    sent_kw = auto()
    received_kw = auto()
    pool_cut_kw = auto()
    boiler_kw = auto()
    import_kw = auto()
    export_kw = auto()
    curtailed_kw = auto()
    unserved_kw = auto()
    unserved_heat_kw = auto()
    spill_kw = auto()
    regulation_kw = auto()
    spinning_kw = auto()
    called_kw = auto()
    duty_kw = auto()
    gas_m3 = auto()
    discharged_kwh = auto()
    projected_battery_kw = auto()
    projected_chp_kw = auto()
    projected_flex_kw = auto()
    projected_virtual_kw = auto()
    projected_pool_kw = auto()
    projected_regulation_kw = auto()
    projected_spinning_kw = auto()
    projected_rental_kwh = auto()
    projected_rental_kw = auto()
    projected_nomination_kw = auto()
    projected_quote_per_kwh = auto()


class L(Columns):
    """Ledger: money of one participant in one hour, cost > 0. Real costs, then transfers."""

    grid_import = auto()
    grid_export = auto()
    gas = auto()
    chp_om = auto()
    chp_start = auto()
    wear = auto()
    flex = auto()
    pool_fee = auto()
    unserved = auto()
    unserved_heat = auto()
    spill = auto()
    demand_charge = auto()
    carbon = auto()
    imbalance = auto()
    market = auto()
    reserve_revenue = auto()
    terminal = auto()
    pool_payment = auto()
    rental = auto()
    service_fee = auto()
    virtual_settlement = auto()
    settlement = auto()  # of a whole episode, afterwards: the kernel leaves it 0


PROJECTED: Final = tuple(name for name in F.names() if name.startswith("projected_"))
PROJECTED_KW: Final = tuple(name for name in PROJECTED if name.endswith("_kw"))
MEMBER_SERIES: Final = ("wind_kw", "pv_kw", "load_kw", "heat_kw")
REAL_COSTS: Final = L.names()[: L.pool_payment]
TRANSFERS: Final = L.names()[L.pool_payment :]
PRICE_RULES: Final = MappingProxyType(
    {"mid_market": 0, "sdr": 1, "posted": 2, "auction": 3, "none": 4}
)
