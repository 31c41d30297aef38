"""What a rule knows before it looks at an hour: of the system always, of the next day by forecast.

Source: our choice.
"""

import numpy as np
from numpy.typing import NDArray

from mmg_env.config_rules import Thresholds
from mmg_env.kernel import nearest_chp
from mmg_env.layout import P, W, X
from mmg_env.series import Forecast
from mmg_env.system import System

Array = NDArray[np.float64]


class Practice:
    """A system and a rule's thresholds, as limits and prices of the devices.

    Attributes:
        system: the system.
        thresholds: the thresholds.
        members: how many of the participants are members.
        table: (participants, len(P)) the devices.
        rating_kw: (participants,) power of the batteries, kW.
        eta_charge: (participants,) efficiency.
        eta_discharge: (participants,) efficiency.
        empty_kwh: (participants,) least energy, kWh.
        full_kwh: (participants,) most energy, kWh.
        filled_kwh: (participants,) energy up to which batteries charge because it is cheap, kWh.
        kept_kwh: (participants,) energy above the least that is kept as a reserve, kWh.
        worn_per_kwh: (participants,) wear of a cycle, currency per kWh charged.
    """

    def __init__(self, system: System, thresholds: Thresholds) -> None:
        """Compute what does not change from hour to hour."""
        table = system.physics.table
        self.system, self.thresholds, self.table = system, thresholds, table
        self.members = len(system.members)
        self.rating_kw = table[:, P.battery_kw]
        self.eta_charge, self.eta_discharge = table[:, P.eta_charge], table[:, P.eta_discharge]
        self._depth = table[:, P.soc_max] - table[:, P.soc_min]
        usable_kwh = self._depth * table[:, P.capacity_kwh]
        self.empty_kwh = table[:, P.soc_min] * table[:, P.capacity_kwh]
        self.full_kwh = table[:, P.soc_max] * table[:, P.capacity_kwh]
        self.filled_kwh = self.full_kwh - (1.0 - thresholds.fill) * usable_kwh
        self.kept_kwh = thresholds.reserve * usable_kwh
        self.worn_per_kwh = self._cycle_wear()
        self._gas_prices()

    def _cycle_wear(self) -> Array:
        """Return wear per kWh charged, for a cycle between reserve and fill, (participants,)."""
        wear, thresholds = self.system.physics.wear, self.thresholds
        depth = self._depth * max(thresholds.fill - thresholds.reserve, 0.0)
        used = np.arange(wear.shape[1]) < np.maximum(depth[:, None] * wear.shape[1], 1.0)
        worn = (wear * used).sum(axis=1) / used.sum(axis=1)
        return np.asarray(worn * self.eta_charge)

    def _gas_prices(self) -> None:
        """Compute what a kWh of CHP costs if its heat saves gas, and if not, (members,)."""
        own, gas = self.table[: self.members], self.system.physics.world[W.gas_per_m3]
        self._chp_kw, self._chp_min_kw = own[:, P.chp_kw], own[:, P.chp_min_kw]
        self._has_chp = bool((self._chp_kw > 0.0).any())
        self._boiler_kw = own[:, P.boiler_kw]
        self._heat_per_kwh = np.maximum(own[:, P.chp_heat_per_kwh], 1e-9)
        burnt, om = own[:, P.chp_gas_m3_per_kwh], own[:, P.chp_om_per_kwh]
        saved = own[:, P.chp_heat_per_kwh] * own[:, P.boiler_gas_m3_per_kwh]
        self._with_heat_per_kwh = gas * (burnt - saved) + om
        self._power_only_per_kwh = gas * burnt + om

    def chp_kw(self, heat_kw: Array, price: float, before_kw: Array) -> Array:
        """Return CHP outputs (members,), kW, that can follow those of the hour before.

        A unit follows heat where that is cheaper than the grid and where heat would lack, and
        runs in full where even power alone is cheaper.
        """
        if not self._has_chp:
            return np.zeros(self.members)
        thresholds = self.thresholds
        led = np.minimum(self._chp_kw, heat_kw / self._heat_per_kwh)
        runs = (self._with_heat_per_kwh < thresholds.chp * price) & (led >= self._chp_min_kw)
        lacking = np.maximum(heat_kw - self._boiler_kw, 0.0) / self._heat_per_kwh
        needed = np.where(lacking > 0.0, np.maximum(lacking, self._chp_min_kw), 0.0)
        wish = np.where(runs, led, np.minimum(needed, self._chp_kw))
        full = self._power_only_per_kwh < thresholds.chp_power * price
        wish = np.where(full, self._chp_kw, wish)
        return np.array(
            [nearest_chp(self.table, p, before_kw[p], wish[p]) for p in range(self.members)]
        )


class Prospect:
    """What a rule makes of a forecast.

    Attributes:
        load_kw: (leads, members) kW.
        supply_kw: (leads, members) wind and PV, kW.
        heat_kw: (leads, members) kW.
        price: (leads,) purchase price, currency/kWh.
        ces_price: (leads,) purchase price of the CES's market, currency/kWh.
        grid_up: (leads,) share of the grid's ratings that is there.
        import_kw: (leads, members) highest import, kW.
        cheap: quantile of the next day's prices.
        dear: quantile of the next day's prices.
        pays: (participants,) whether a kWh bought in the cheap hours and used in the dear ones
            earns more than losses and wear.
        level_kw: (members,) import above which batteries shave, kW.
    """

    def __init__(self, practice: Practice, forecast: Forecast, peak_kw: Array) -> None:
        """Look at the next day; peak_kw (participants,) are the import peaks so far, kW."""
        thresholds, day = practice.thresholds, practice.system.steps_per_day
        members = practice.members
        self.load_kw, self.heat_kw = forecast.load_kw, forecast.heat_kw
        self.supply_kw = forecast.wind_kw + forecast.pv_kw
        self.price, self.ces_price = forecast.price_buy, forecast.shared(X.ces_buy)
        self.grid_up = forecast.grid_up
        self.import_kw = forecast.grid_up[:, None] * practice.table[:members, P.import_kw]
        prices = self.price[:day]
        cheap, dear = np.quantile(prices, [thresholds.cheap, thresholds.dear])
        self.cheap, self.dear = float(cheap), float(dear)
        bought, used = prices[prices <= self.cheap].mean(), prices[prices >= self.dear].mean()
        gain = used * (practice.eta_charge * practice.eta_discharge) - bought
        self.pays = gain > thresholds.margin * practice.worn_per_kwh
        net_kw = self.load_kw - forecast.wind_kw - forecast.pv_kw
        expected_kw = thresholds.level * net_kw[:day].max(axis=0)
        self.level_kw = np.maximum(peak_kw[:members], expected_kw)
