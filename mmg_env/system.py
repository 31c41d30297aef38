"""A system: the facts of a configuration as arrays over participants.

Source: our choice; the meaning of every number stands in docs/model.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmg_env.config import BatteryConfig, CesConfig, DynamicTariff, MemberConfig, SystemConfig
from mmg_env.config_file import load_config
from mmg_env.kernel import N_ACTION, N_STATE, Physics
from mmg_env.layout import PRICE_RULES, P, W, X
from mmg_env.wear import segment_costs

Array = NDArray[np.float64]

UNLIMITED_KW = 1e9  # stands for "no limit" where infinity times an outage would be NaN


@dataclass(frozen=True, eq=False)
class System:
    """One community: its configuration, and the same facts as read-only arrays.

    Attributes:
        config: the validated configuration.
        physics: what the kernel reads; `physics.table` has one row per participant (members in
            the order of the configuration, then the CES) and the columns of `layout.P`.
    """

    config: SystemConfig
    physics: Physics

    @property
    def name(self) -> str:
        """The system's or suite's name."""
        return self.config.name

    @cached_property
    def members(self) -> tuple[str, ...]:
        """Names of the members."""
        return tuple(member.name for member in self.config.members)

    @cached_property
    def participants(self) -> tuple[str, ...]:
        """Names of the members, then `ces` if there is a community storage."""
        return self.members + (("ces",) if self.has_ces else ())

    @property
    def has_ces(self) -> bool:
        """Whether there is a community energy storage."""
        return self.config.ces is not None

    @property
    def dt_h(self) -> float:
        """Length of a step, h."""
        return self.config.dt_h

    @cached_property
    def steps_per_day(self) -> int:
        """Steps of a day."""
        return round(24 / self.config.dt_h)

    @cached_property
    def episode_steps(self) -> int:
        """Steps of an episode."""
        return round(self.config.episode_h / self.config.dt_h)

    @property
    def segments(self) -> int:
        """Wear segments per battery (J)."""
        return int(self.physics.wear.shape[1])

    @property
    def fade(self) -> bool:
        """Whether capacity shrinks with wear."""
        return bool(self.physics.world[W.fade])

    @property
    def rental(self) -> bool:
        """Whether members may rent virtual capacity."""
        return bool(self.physics.world[W.rental])

    @property
    def reserve(self) -> bool:
        """Whether the CES may offer regulation and spinning reserve."""
        return bool(self.physics.world[W.markets])

    @property
    def day_ahead_pool(self) -> bool:
        """Whether pool exchange is scheduled day-ahead (else hour by hour)."""
        return bool(self.physics.world[W.day_ahead_pool])

    @property
    def day_ahead_grid(self) -> bool:
        """Whether the community nominates its net grid exchange day-ahead."""
        return bool(self.physics.world[W.day_ahead_grid])

    @property
    def price_scale(self) -> float:
        """Size of the prices, currency/kWh: a constant, the largest quote that can be made."""
        return float(self.physics.world[W.quote_max_per_kwh])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the configuration only: arrays come back read-only."""
        return build_system, (self.config,)

    def column(self, column: P) -> Array:
        """Return one column of the table, (participants,)."""
        values: Array = self.physics.table[:, column]
        return values

    @cached_property
    def block_size(self) -> int:
        """Length of one participant's block in the state."""
        plan = self.steps_per_day if self.day_ahead_pool else 0
        return N_STATE + self.segments + plan

    @cached_property
    def state_size(self) -> int:
        """Length of the state: one block per participant, then the day's grid nomination."""
        grid = self.steps_per_day if self.day_ahead_grid else 0
        return len(self.participants) * self.block_size + grid

    @cached_property
    def request_size(self) -> int:
        """Length of a physical action: hourly wishes, pool schedule, nomination offsets."""
        plan = self.steps_per_day if self.day_ahead_pool else 0
        grid = self.steps_per_day if self.day_ahead_grid else 0
        return len(self.participants) * (N_ACTION + plan) + grid

    @cached_property
    def exogenous_size(self) -> int:
        """Columns of an episode's values: four per member, then the shared ones."""
        return 4 * len(self.members) + len(X)


def load_system(
    name_or_path: str | PathLike[str], overrides: Mapping[str, Any] | None = None
) -> System:
    """Load a system or suite by name or path.

    Args:
        name_or_path: a shipped suite's or system's name, or a YAML file.
        overrides: YAML paths and the values that replace what stands there, such as
            `{"pool.enabled": False, "ces": None, "members[*].battery.wear": {...}}`.

    Raises:
        ConfigError: a sentence with file, line, path, value and what is allowed.
    """
    return build_system(load_config(name_or_path, overrides))


def build_system(config: SystemConfig) -> System:
    """Turn a configuration into arrays; a pure function."""
    batteries = [member.battery for member in config.members]
    rows = [_member_row(config, member) for member in config.members]
    if config.ces is not None:
        batteries.append(config.ces.battery)
        rows.append(_ces_row(config, config.ces))
    table = np.array([[row.get(name, 0.0) for name in P.names()] for row in rows])
    wear = _wear_table(batteries)
    world = _world(config, table)
    for array in (world, table, wear):
        array.flags.writeable = False
    return System(config, Physics(world, table, wear))


def _world(config: SystemConfig, table: Array) -> Array:
    """Return the numbers that exist once per system, in the order of `layout.W`."""
    ces, pool, tariff = config.ces, config.pool, config.tariff
    rented = ces is not None and ces.rental and pool.enabled
    values = {
        "dt_h": config.dt_h,
        "steps_per_day": round(24 / config.dt_h),
        "episode_steps": round(config.episode_h / config.dt_h),
        "has_ces": ces is not None,
        "pool_enabled": pool.enabled,
        "pool_members": pool.members,
        "pool_out": ces is not None and ces.pool_out,
        "pool_in": ces is not None and ces.pool_in,
        "member_export": config.member_export,
        "rental": rented,
        "markets": ces is not None and ces.markets,
        "day_ahead_pool": config.day_ahead.pool and pool.enabled,
        "day_ahead_grid": config.day_ahead.grid,
        "fade": config.fades,
        "pool_loss": pool.loss,
        "pool_fee_per_kwh": pool.fee_per_kwh,
        "price_rule": PRICE_RULES[pool.price_rule],
        "posted_ces_to_member": pool.posted.ces_to_member,
        "posted_member_to_ces": pool.posted.member_to_ces,
        "posted_member_to_member": pool.posted.member_to_member,
        "eta_converter": ces.eta_converter if ces else 1.0,
        "overbooking": ces.overbooking if ces else 0.0,
        "service_fee_per_kwh": ces.service_fee_per_kwh if ces else 0.0,
        "rental_per_kwh": ces.rental_per_kwh if ces else 0.0,
        "rental_per_kw": ces.rental_per_kw if ces else 0.0,
        "gas_per_m3": tariff.gas_per_m3,
        "carbon_per_kg": config.carbon.price_per_kg,
        "gas_kg_per_m3": config.carbon.gas_kg_per_m3,
        "unserved_per_kwh": config.penalties.unserved_per_kwh,
        "unserved_heat_per_kwh": config.penalties.unserved_heat_per_kwh,
        "spill_per_kwh": config.penalties.spill_per_kwh,
        "demand_charge_per_kw": tariff.demand_charge_per_kw,
        "demand_period_steps": tariff.demand_period_days * round(24 / config.dt_h),
        "nomination_range_kw": _nomination_range_kw(table),
        "quote_max_per_kwh": _price_scale(config),
        "reward_scale": config.reward_scale,
    }
    return np.array([float(values[name]) for name in W.names()])


def _price_scale(config: SystemConfig) -> float:
    """Return the size of the prices (currency/kWh): the dearest purchase, or as configured."""
    if isinstance(config.tariff, DynamicTariff):
        return config.tariff.price_scale_per_kwh
    return float(np.max(config.tariff.buy_per_kwh)) or 1.0


def _nomination_range_kw(table: Array) -> float:
    """Return how far a nomination may lie from the forecast net load, kW: all devices together."""
    flexible = [P.battery_kw, P.chp_kw, P.flex_kw]
    local = float(table[:, flexible].sum())
    links = np.minimum(np.maximum(table[:, P.import_kw], table[:, P.export_kw]), UNLIMITED_KW)
    bounded = links[links < UNLIMITED_KW]
    return max(local, float(bounded.sum()), 1.0)


def _storage_row(config: SystemConfig, battery: BatteryConfig | None) -> dict[str, float]:
    """Return a battery's columns; without one the efficiencies are 1, all else 0."""
    if battery is None:
        return {"eta_charge": 1.0, "eta_discharge": 1.0, "retention": 1.0}
    buy, sell = battery.terminal_buy_per_kwh, battery.terminal_sell_per_kwh
    return {
        "battery_kw": battery.power_kw,
        "capacity_kwh": battery.capacity_kwh,
        "soc_min": battery.soc_min,
        "soc_max": battery.soc_max,
        "soc_initial": battery.soc_initial,
        "eta_charge": battery.eta_charge,
        "eta_discharge": battery.eta_discharge,
        "retention": (1.0 - battery.self_discharge_per_h) ** config.dt_h,
        "terminal_buy_per_kwh": config.terminal.buy_per_kwh if buy is None else buy,
        "terminal_sell_per_kwh": config.terminal.sell_per_kwh if sell is None else sell,
        "replacement_cost_per_kwh": battery.wear.replacement_cost or 0.0,
    }


def _member_row(config: SystemConfig, member: MemberConfig) -> dict[str, float]:
    """Return a member's row of the table by column name."""
    row = _storage_row(config, member.battery)
    row |= {
        "link_kw": member.link_kw if config.pool.enabled else 0.0,
        "rental_max_kwh": member.rental_max_kwh,
        "rental_max_kw": member.rental_max_kw,
    }
    if member.grid is not None:
        row |= {"import_kw": member.grid.import_kw, "export_kw": member.grid.export_kw}
    if member.chp is not None:
        chp = member.chp
        ramp = (
            chp.capacity_kw / 2 if chp.ramp_kw_per_h is None else chp.ramp_kw_per_h
        ) * config.dt_h
        minimum = chp.min_share * chp.capacity_kw
        row |= {
            "chp_kw": chp.capacity_kw,
            "chp_min_kw": minimum,
            "chp_ramp_kw": ramp,
            "chp_edge_kw": max(ramp, minimum),
            "chp_gas_m3_per_kwh": 1.0 / (chp.eta_electric * chp.gas_lhv_kwh_per_m3),
            "chp_heat_per_kwh": chp.eta_heat / chp.eta_electric,
            "chp_om_per_kwh": chp.om_per_kwh,
            "chp_start_cost": chp.start_cost,
        }
    if member.boiler is not None:
        boiler = member.boiler
        row |= {
            "boiler_kw": boiler.capacity_kw,
            "boiler_gas_m3_per_kwh": 1.0 / (boiler.eta * boiler.gas_lhv_kwh_per_m3),
        }
    if member.flex is not None:
        row |= {"flex_kw": member.flex.power_kw, "flex_cost_per_kwh": member.flex.cost_per_kwh}
    return row


def _ces_row(config: SystemConfig, ces: CesConfig) -> dict[str, float]:
    """Return the community storage's row of the table by column name."""
    link_kw = ces.battery.power_kw if ces.link_kw is None else ces.link_kw
    return _storage_row(config, ces.battery) | {
        "link_kw": link_kw if config.pool.enabled else 0.0,
        "import_kw": UNLIMITED_KW if ces.market.import_kw is None else ces.market.import_kw,
        "export_kw": UNLIMITED_KW if ces.market.export_kw is None else ces.market.export_kw,
    }


def _wear_table(batteries: list[BatteryConfig | None]) -> Array:
    """Return (participants, J) wear costs per kWh discharged; J is the largest asked for.

    A battery with fewer segments than J repeats each cost J / segments times, which is the same
    battery where that is a whole number; `SystemConfig` leaves only such mixtures.
    """
    costs = [np.zeros(1) if b is None else segment_costs(b.wear) for b in batteries]
    widest = int(np.lcm.reduce([len(c) for c in costs]))
    return np.array([np.repeat(c, widest // len(c)) for c in costs])
