"""One hour as a rule expects it: what every device does, and what that means for the grid.

Source: our choice.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmg_env.config_rules import Thresholds
from mmg_env.kernel import nearest_chp
from mmg_env.layout import P, W, X
from mmg_env.series import Forecast
from mmg_env.system import System

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Outlook:
    """What a rule sees of one hour.

    Attributes:
        need_kw: (members,) load less wind, PV and CHP; negative is surplus.
        price: purchase price of the hour.
        cheap: price below which the next day's cheapest third lies.
        dear: price above which its dearest third lies.
        pays: (participants,) whether a kWh bought in the cheapest third and used in the dearest
            earns more than losses and wear.
        charge_kw: (participants,) highest charging power, kW, that keeps the import level.
        discharge_kw: (participants,) highest discharging power, kW, that keeps the reserve.
        shaved_kw: (participants,) discharging power, kW, that keeps the import level.
    """

    need_kw: Array
    price: float
    cheap: float
    dear: float
    pays: NDArray[np.bool_]
    charge_kw: Array
    discharge_kw: Array
    shaved_kw: Array


Rule = Callable[[System, Outlook], Array]


def cover_own_need(system: System, outlook: Outlook) -> Array:
    """Return battery powers (participants,): members discharge into need and store surplus."""
    members = len(system.members)
    wish = np.zeros(len(system.participants))
    wish[:members] = outlook.need_kw
    if system.has_ces:
        left = outlook.need_kw - np.clip(
            wish[:members], -outlook.charge_kw[:members], outlook.discharge_kw[:members]
        )
        wish[members] = left.sum()
    return _shave(np.clip(wish, -outlook.charge_kw, outlook.discharge_kw), outlook)


def follow_prices(system: System, outlook: Outlook) -> Array:
    """Return battery powers: charge in the day's cheap hours, serve need in its dear ones.

    In between, surplus is stored. Where the day's spread does not pay for a cycle, the battery
    covers its own need instead.
    """
    own = cover_own_need(system, outlook)
    if outlook.price <= outlook.cheap:
        timed = -outlook.charge_kw
    elif outlook.price >= outlook.dear:
        timed = own
    else:
        timed = np.minimum(own, 0.0)
    return _shave(np.where(outlook.pays, timed, own), outlook)


def _shave(power_kw: Array, outlook: Outlook) -> Array:
    """Return battery powers that also keep the import level, whatever the hour costs."""
    shaves = outlook.shaved_kw > 0.0
    return np.where(shaves, np.maximum(power_kw, outlook.shaved_kw), power_kw)


class PlannedHour:
    """One hour as a rule expects it: wishes of all participants and the grid exchange."""

    def __init__(
        self, system: System, forecast: Forecast, peak_kw: Array, thresholds: Thresholds
    ) -> None:
        """Take what is known: the forecast, and the import peaks so far, kW."""
        self._system = system
        self._forecast = forecast
        self._peak_kw = peak_kw[: len(system.members)]
        self._thresholds = thresholds

    def decide(self, rule: Rule, energy_kwh: Array, chp_kw: Array, lead: int) -> Array:
        """Fill in the wishes for the hour `lead` ahead; return the energy expected after it.

        chp_kw is the CHP output of the hour before.
        """
        system, forecast, thresholds = self._system, self._forecast, self._thresholds
        table, members = system.physics.table, len(system.members)
        wished = _chp_power(system, forecast, lead, thresholds.chp)
        self.chp_kw = np.array(
            [nearest_chp(table, p, chp_kw[p], wished[p]) for p in range(members)]
        )
        supply = forecast.wind_kw[lead] + forecast.pv_kw[lead] + self.chp_kw
        need = forecast.load_kw[lead] - supply
        room, content = _battery_limits(system, energy_kwh)
        net = forecast.load_kw - forecast.wind_kw - forecast.pv_kw
        expected = thresholds.level * net[: system.steps_per_day].max(axis=0)
        level = np.maximum(self._peak_kw, expected)
        room[:members] = np.minimum(room[:members], np.maximum(level - need, 0.0))
        shaved = np.zeros(len(content))
        shaved[:members] = np.clip(need - level, 0.0, content[:members])
        usable = (table[:, P.soc_max] - table[:, P.soc_min]) * table[:, P.capacity_kwh]
        kept = thresholds.reserve * usable * table[:, P.eta_discharge] / system.dt_h
        content = np.maximum(content - kept, 0.0)
        prices = forecast.price_buy[: system.steps_per_day]
        cheap, dear = np.quantile(prices, [thresholds.cheap, thresholds.dear])
        price = float(forecast.price_buy[lead])
        pays = _cycle_pays(system, prices, (float(cheap), float(dear)), thresholds.margin)
        outlook = Outlook(need, price, float(cheap), float(dear), pays, room, content, shaved)
        self.battery_kw = rule(system, outlook)
        self._trade(need, lead)
        self.reserve_kw = self._offer(room, content)
        charge, discharge = np.maximum(-self.battery_kw, 0.0), np.maximum(self.battery_kw, 0.0)
        stored = table[:, P.eta_charge] * charge - discharge / table[:, P.eta_discharge]
        return np.asarray(energy_kwh + stored * system.dt_h)

    def _trade(self, need: Array, lead: int) -> None:
        """Send surplus to the pool, ask it for need; the CES sends what its battery discharges."""
        system = self._system
        members = len(system.members)
        link = system.physics.table[:, P.link_kw]
        residual = need - self.battery_kw[:members]
        self.pool_kw = np.zeros(len(system.participants))
        self.pool_kw[:members] = np.clip(residual, -link[:members], link[:members])
        market = self._serve_pool(lead) if system.has_ces else 0.0
        self.grid_kw = float(residual.sum() + self.pool_kw[members:].sum()) + market

    def _offer(self, room: Array, content: Array) -> tuple[Array, Array]:
        """Return regulation and spinning reserve offered, (participants,) kW each.

        They are shares of what rating and energy leave; the hour cuts them to the exact headroom.
        """
        offers = np.zeros((2, len(room)))
        if self._system.reserve:
            rating = self._system.column(P.battery_kw)[-1]
            possible = min(rating / 2.0, rating - abs(float(self.battery_kw[-1])))
            energy = min(float(room[-1]), float(content[-1]))
            regulation = self._thresholds.regulation * max(0.0, min(possible, 2.0 * energy))
            left = rating - float(self.battery_kw[-1]) - regulation
            spinning = min(rating / 2.0, left, float(content[-1]) - regulation / 2.0)
            offers[:, -1] = regulation, self._thresholds.spinning * max(0.0, spinning)
        return offers[0], offers[1]

    def _serve_pool(self, lead: int) -> float:
        """Let the CES take the pool's surplus, or send what its battery and its market spare.

        It relays energy from its market only where that is cheaper than retail. Returns the
        market's import, kW.
        """
        system, forecast = self._system, self._forecast
        world, ces = system.physics.world, len(system.members)
        row = system.physics.table[ces]
        eta, loss = world[W.eta_converter], world[W.pool_loss]
        balance = float(self.pool_kw[:ces].sum())
        delivered = float(forecast.shared(X.ces_buy)[lead]) / (eta * (1.0 - loss))
        cheaper = delivered + world[W.pool_fee_per_kwh] < forecast.price_buy[lead]
        grid_up = float(forecast.grid_up[lead])
        bought = row[P.import_kw] * grid_up if cheaper else 0.0
        spare = max(0.0, bought + float(self.battery_kw[ces]))
        send = min(max(0.0, balance) / (1.0 - loss), eta * spare)
        receive = max(0.0, -balance) * (1.0 - loss)
        low = -row[P.link_kw] if world[W.pool_out] else 0.0
        high = row[P.link_kw] if world[W.pool_in] else 0.0
        self.pool_kw[ces] = np.clip(receive - send, low, high)
        sent, received = max(0.0, -self.pool_kw[ces]), max(0.0, self.pool_kw[ces])
        return float(sent / eta - eta * received - self.battery_kw[ces])


def _cycle_pays(
    system: System, prices: Array, bounds: tuple[float, float], margin: float
) -> NDArray[np.bool_]:
    """Return whether storing from the cheap to the dear hours earns its losses and wear.

    Wear is that of a cycle between the limits of the state of charge, per kWh charged; the gain
    must exceed it `margin` times.
    """
    cheap, dear = bounds
    table, wear = system.physics.table, system.physics.wear
    depth = table[:, P.soc_max] - table[:, P.soc_min]
    used = np.arange(wear.shape[1]) < np.maximum(depth[:, None] * wear.shape[1], 1.0)
    worn = (wear * used).sum(axis=1) / used.sum(axis=1)
    bought, saved = prices[prices <= cheap].mean(), prices[prices >= dear].mean()
    delivered = table[:, P.eta_charge] * table[:, P.eta_discharge]
    return np.asarray(saved * delivered - bought > margin * (worn * table[:, P.eta_charge]))


def _chp_power(system: System, forecast: Forecast, lead: int, share: float) -> Array:
    """Return CHP outputs (members,): heat-led where cheaper than the grid, and where heat lacks."""
    table, members = system.physics.table[: len(system.members)], len(system.members)
    if not (table[:, P.chp_kw] > 0.0).any():
        return np.zeros(members)
    gas = system.physics.world[W.gas_per_m3]
    saved = table[:, P.chp_heat_per_kwh] * table[:, P.boiler_gas_m3_per_kwh]
    marginal = gas * (table[:, P.chp_gas_m3_per_kwh] - saved) + table[:, P.chp_om_per_kwh]
    heat_per_kwh = np.maximum(table[:, P.chp_heat_per_kwh], 1e-9)
    output = np.minimum(table[:, P.chp_kw], forecast.heat_kw[lead] / heat_per_kwh)
    runs = (marginal < share * forecast.price_buy[lead]) & (output >= table[:, P.chp_min_kw])
    lacking = np.maximum(forecast.heat_kw[lead] - table[:, P.boiler_kw], 0.0) / heat_per_kwh
    needed = np.where(lacking > 0.0, np.maximum(lacking, table[:, P.chp_min_kw]), 0.0)
    return np.where(runs, output, np.minimum(needed, table[:, P.chp_kw]))


def _battery_limits(system: System, energy_kwh: Array) -> tuple[Array, Array]:
    """Return the highest charging and discharging powers (participants,), kW."""
    table, dt_h = system.physics.table, system.dt_h
    room = (table[:, P.soc_max] * table[:, P.capacity_kwh] - energy_kwh) / dt_h
    content = (energy_kwh - table[:, P.soc_min] * table[:, P.capacity_kwh]) / dt_h
    rating = table[:, P.battery_kw]
    charge = np.clip(room / table[:, P.eta_charge], 0.0, rating)
    return charge, np.clip(content * table[:, P.eta_discharge], 0.0, rating)
