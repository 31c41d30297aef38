"""Rule-based policies: what a careful operator does without an optimiser.

A rule looks at one hour's forecast and the stored energy and says what batteries do; everything
else follows: CHP runs where it beats grid and boiler, surplus goes to the pool, the community
storage serves the pool, and the day's commitments are what the rule expects itself to do.

Source: our choice; thresholds are frozen here, none is fitted to a test episode.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmg_env.actions import Action, ActionCodec
from mmg_env.kernel import nearest_chp
from mmg_env.layout import A, P, S, W, X
from mmg_env.public import PublicInfo
from mmg_env.series import Forecast
from mmg_env.system import System

Array = NDArray[np.float64]

CHEAP, DEAR = 1 / 3, 2 / 3  # quantiles of the next day's purchase prices


class Idle:
    """Ask for nothing: loads, boilers and the grid do as they must."""

    def __init__(self, system: System) -> None:
        """Remember the one action."""
        self._vector = ActionCodec(system).encode(Action.idle(system))

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget."""

    def act(self, observation: NDArray[Any], info: Mapping[str, Any]) -> Array:  # noqa: ARG002
        """Return the idle action."""
        return self._vector


class Random:
    """Draw every entry uniformly from its range."""

    def __init__(self, system: System) -> None:
        """Remember how many entries there are."""
        self._size = len(ActionCodec(system).entries)
        self._rng = np.random.default_rng(0)

    def reset(self, rng: np.random.Generator) -> None:
        """Take the episode's randomness."""
        self._rng = rng

    def act(self, observation: NDArray[Any], info: Mapping[str, Any]) -> Array:  # noqa: ARG002
        """Return a random action."""
        return self._rng.uniform(-1.0, 1.0, self._size)


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
        charge_kw: (participants,) highest charging power, kW, that keeps the import peak.
        discharge_kw: (participants,) highest discharging power, kW.
    """

    need_kw: Array
    price: float
    cheap: float
    dear: float
    pays: NDArray[np.bool_]
    charge_kw: Array
    discharge_kw: Array


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
    return np.clip(wish, -outlook.charge_kw, outlook.discharge_kw)


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
    return np.where(outlook.pays, timed, own)


class RulePolicy:
    """Play a rule; commit to what the rule expects itself to do."""

    def __init__(self, system: System, rule: Rule) -> None:
        """Prepare for one system."""
        self._system = system
        self._rule = rule
        self._codec = ActionCodec(system)

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget."""

    def act(self, observation: NDArray[Any], info: Mapping[str, Any]) -> Array:  # noqa: ARG002
        """Return this hour's wishes and, at a day's first step, its commitments."""
        public: PublicInfo = info["public"]
        day = self._system.steps_per_day
        planned = public.day_begins and (self._system.day_ahead_pool or self._system.day_ahead_grid)
        hours = []
        energy, chp_kw = public.state.energy_kwh, public.state.column(S.chp_kw)
        for lead in range(day if planned else 1):
            hour = _Hour(self._system, public.forecast, public.state.column(S.peak_kw))
            energy = hour.decide(self._rule, energy, chp_kw, lead)
            chp_kw = hour.chp_kw
            hours.append(hour)
        action = Action.idle(self._system)
        first = hours[0]
        action[A.battery_kw][:] = first.battery_kw
        action[A.chp_kw][: len(self._system.members)] = first.chp_kw
        if not self._system.day_ahead_pool:
            action[A.pool_kw][:] = first.pool_kw
        if planned:
            self._commit(action, hours, public.forecast)
        return self._codec.encode(action)

    def _commit(self, action: Action, hours: list["_Hour"], forecast: Forecast) -> None:
        """Write the day's pool schedule and nomination."""
        base = forecast.shared(X.nomination_base_kw)
        for h, hour in enumerate(hours):
            if self._system.day_ahead_pool:
                action.pool_plan_kw[:, h] = hour.pool_kw
            if self._system.day_ahead_grid:
                action.nomination_offset_kw[h] = hour.grid_kw - base[h]


class _Hour:
    """One hour as a rule expects it: wishes of all participants and the grid exchange."""

    def __init__(self, system: System, forecast: Forecast, peak_kw: Array) -> None:
        self._system = system
        self._forecast = forecast
        self._peak_kw = peak_kw[: len(system.members)]

    def decide(self, rule: Rule, energy_kwh: Array, chp_kw: Array, lead: int) -> Array:
        """Fill in the wishes for the hour `lead` ahead; return the energy expected after it.

        chp_kw is the CHP output of the hour before.
        """
        system, forecast = self._system, self._forecast
        table, members = system.physics.table, len(system.members)
        wished = _chp_power(system, forecast, lead)
        self.chp_kw = np.array(
            [nearest_chp(table, p, chp_kw[p], wished[p]) for p in range(members)]
        )
        supply = forecast.wind_kw[lead] + forecast.pv_kw[lead] + self.chp_kw
        need = forecast.load_kw[lead] - supply
        room, content = _battery_limits(system, energy_kwh)
        net = forecast.load_kw - forecast.wind_kw - forecast.pv_kw
        calm = np.maximum(self._peak_kw, net[: system.steps_per_day].max(axis=0))
        room[:members] = np.minimum(room[:members], np.maximum(calm - need, 0.0))
        prices = forecast.price_buy[: system.steps_per_day]
        cheap, dear = np.quantile(prices, [CHEAP, DEAR])
        price = float(forecast.price_buy[lead])
        pays = _cycle_pays(system, prices, float(cheap), float(dear))
        outlook = Outlook(need, price, float(cheap), float(dear), pays, room, content)
        self.battery_kw = rule(system, outlook)
        self._trade(need, lead)
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


def _cycle_pays(system: System, prices: Array, cheap: float, dear: float) -> NDArray[np.bool_]:
    """Return whether storing from the cheap to the dear hours earns its losses and wear.

    Wear is that of a cycle between the limits of the state of charge, per kWh charged.
    """
    table, wear = system.physics.table, system.physics.wear
    depth = table[:, P.soc_max] - table[:, P.soc_min]
    used = np.arange(wear.shape[1]) < np.maximum(depth[:, None] * wear.shape[1], 1.0)
    worn = (wear * used).sum(axis=1) / used.sum(axis=1)
    bought, saved = prices[prices <= cheap].mean(), prices[prices >= dear].mean()
    delivered = table[:, P.eta_charge] * table[:, P.eta_discharge]
    return np.asarray(saved * delivered - bought > worn * table[:, P.eta_charge])


def _chp_power(system: System, forecast: Forecast, lead: int) -> Array:
    """Return CHP outputs (members,): heat-led where cheaper than the grid, and where heat lacks."""
    table, members = system.physics.table[: len(system.members)], len(system.members)
    if not (table[:, P.chp_kw] > 0.0).any():
        return np.zeros(members)
    gas = system.physics.world[W.gas_per_m3]
    saved = table[:, P.chp_heat_per_kwh] * table[:, P.boiler_gas_m3_per_kwh]
    marginal = gas * (table[:, P.chp_gas_m3_per_kwh] - saved) + table[:, P.chp_om_per_kwh]
    heat_per_kwh = np.maximum(table[:, P.chp_heat_per_kwh], 1e-9)
    output = np.minimum(table[:, P.chp_kw], forecast.heat_kw[lead] / heat_per_kwh)
    runs = (marginal < forecast.price_buy[lead]) & (output >= table[:, P.chp_min_kw])
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
