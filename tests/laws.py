"""The laws of one hour, written a second time: plain NumPy from docs/model.md and configuration.

Nothing here calls the physics of the kernel or reads the tables of `System`, so that a slip in
either shows. Every check takes a `Run` and raises AssertionError. Tests and mutants share them.
"""

from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace

import numpy as np

from mmg_env import kernel as shipped
from mmg_env.forecasting import forecast_into as shipped_forecast
from mmg_env.layout import REAL_COSTS, TRANSFERS, A, F, L, S, X

RELATIVE = 1e-9
NO_BATTERY = SimpleNamespace(
    power_kw=0.0,
    capacity_kwh=0.0,
    eta_charge=1.0,
    eta_discharge=1.0,
    soc_min=0.0,
    soc_max=0.0,
    soc_initial=0.0,
    self_discharge_per_h=0.0,
    terminal_buy_per_kwh=0.0,
    terminal_sell_per_kwh=0.0,
    wear=SimpleNamespace(segments=None, cost_per_kwh=0.0, replacement_cost=None),
)


def agree(left, right, scale=0.0, what="values"):
    """Fail unless two arrays agree to 1e-9 of their size."""
    left, right = np.asarray(left, dtype=float), np.asarray(right, dtype=float)
    gap = np.abs(left - right)
    limit = RELATIVE * (1.0 + np.maximum(np.maximum(np.abs(left), np.abs(right)), scale))
    bad = ~(gap <= limit)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise AssertionError(f"{what}: {left[where]!r} != {right[where]!r} at {where}")


def at_most(left, right, what="limit", scale=0.0):
    """Fail unless left <= right, up to rounding."""
    left, right = np.broadcast_arrays(np.asarray(left, float), np.asarray(right, float))
    bad = ~(left <= right + RELATIVE * (1.0 + np.maximum(np.abs(right), scale)))
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise AssertionError(f"{what}: {left[where]!r} > {right[where]!r} at {where}")


@dataclass(eq=False)
class Run:
    """What a kernel made of a case."""

    system: object
    episode: object
    requests: np.ndarray
    states: np.ndarray
    flows: np.ndarray
    ledger: np.ndarray
    costs: np.ndarray

    def __post_init__(self):
        config = self.config = self.system.config
        self.dt = config.dt_h
        self.day = round(24.0 / config.dt_h)
        self.steps = round(config.episode_h / config.dt_h)
        self.members = len(config.members)
        self.ces = config.ces is not None
        self.count = self.members + self.ces
        self.values = self.episode.values
        self.batteries = [m.battery or NO_BATTERY for m in config.members]
        if self.ces:
            self.batteries.append(config.ces.battery)
        self.pooled = config.pool.enabled
        self.planned = self.pooled and config.day_ahead.pool
        self.rented = self.ces and self.pooled and config.ces.rental
        self.hour = np.arange(self.steps) % self.day
        self.segments = self.system.segments

    def flow(self, column):
        return self.flows[:, :, column]

    def account(self, column):
        return self.ledger[:, :, column]

    def shared(self, column):
        return self.values[:, 4 * self.members + column]

    def series(self, kind):
        return self.values[:, kind * self.members : (kind + 1) * self.members]

    @cached_property
    def blocks(self):
        width = len(S) + self.segments + (self.day if self.planned else 0)
        return self.states[:, : self.count * width].reshape(self.steps + 1, self.count, width)

    @cached_property
    def cells(self):
        return self.blocks[:, :, len(S) : len(S) + self.segments]

    @cached_property
    def plan(self):
        """Pool schedule in force in each step, (steps, participants, day)."""
        return self.blocks[1:, :, len(S) + self.segments :]

    @cached_property
    def nomination(self):
        """Grid schedule in force in each step, (steps, day)."""
        return self.states[1:, self.blocks.shape[1] * self.blocks.shape[2] :]

    @cached_property
    def wishes(self):
        return self.requests[:, : self.count * len(A)].reshape(self.steps, self.count, len(A))

    @cached_property
    def wished_plan(self):
        rest = self.requests[:, self.count * len(A) :]
        return rest[:, : self.count * self.day].reshape(self.steps, self.count, self.day)

    @cached_property
    def wished_offset(self):
        return self.requests[:, self.requests.shape[1] - self.day :]

    @cached_property
    def realised(self):
        """Battery power with the reserve that was called, (steps, participants)."""
        return self.flow(F.battery_kw) + self.flow(F.called_kw)

    def of_battery(self, field):
        return np.array([getattr(b, field) for b in self.batteries])

    @cached_property
    def retention(self):
        return (1.0 - self.of_battery("self_discharge_per_h")) ** self.dt

    @cached_property
    def link(self):
        """Rating of each participant's link to the pool."""
        links = [m.link_kw for m in self.config.members]
        if self.ces:
            ces = self.config.ces
            links.append(ces.battery.power_kw if ces.link_kw is None else ces.link_kw)
        return np.array(links) * self.pooled

    @cached_property
    def ports(self):
        """Import and export limits in each step, (2, steps, participants)."""
        limits = [(m.grid.import_kw, m.grid.export_kw) if m.grid else (0.0, 0.0)
                  for m in self.config.members]  # fmt: skip
        limits = np.array(limits).reshape(-1, 2)
        limits[:, 1] *= self.config.member_export
        if self.ces:
            market = self.config.ces.market
            row = [1e9 if x is None else x for x in (market.import_kw, market.export_kw)]
            limits = np.vstack([limits, row])
        return limits.T[:, None, :] * self.shared(X.grid_up)[None, :, None]

    @cached_property
    def wear_costs(self):
        """Currency per kWh discharged, (participants, segments)."""
        rows = []
        for battery in self.batteries:
            wear = battery.wear
            if wear.segments is None:
                rows.append(np.full(self.segments, wear.cost_per_kwh))
                continue
            ends = np.arange(wear.segments + 1) / wear.segments
            loss = 5.24e-4 * ends**2.03
            costs = wear.replacement_cost * wear.segments * (loss[1:] - loss[:-1])
            rows.append(np.repeat(costs, self.segments // wear.segments))
        return np.array(rows)

    @cached_property
    def opening(self):
        """State at the decision of each step: fading, resets and new rent done."""
        now = SimpleNamespace(
            capacity=self.blocks[:-1, :, S.capacity_kwh].copy(),
            cells=self.cells[:-1].copy(),
            wear_today=self.blocks[:-1, :, S.wear_today].copy(),
            backlog=self.blocks[:-1, :, S.backlog_kwh].copy(),
            virtual=self.blocks[:-1, :, S.virtual_kwh].copy(),
            peak=self.blocks[:-1, :, S.peak_kw].copy(),
            chp=self.blocks[:-1, :, S.chp_kw],
            rental_kwh=self.blocks[1:, :, S.rental_kwh],
            rental_kw=self.blocks[1:, :, S.rental_kw],
        )
        dawn = self.hour == 0
        if self.config.fades:
            for p, battery in enumerate(self.batteries):
                if battery.wear.replacement_cost:
                    paid = now.wear_today[dawn, p]
                    now.capacity[dawn, p] -= 0.2 * paid / battery.wear.replacement_cost
            cap = now.capacity / self.segments
            for j in range(self.segments - 1):
                over = np.maximum(now.cells[:, :, j] - cap, 0.0) * dawn[:, None]
                now.cells[:, :, j] -= over
                now.cells[:, :, j + 1] += over
        for column in (now.wear_today, now.backlog, now.virtual):
            column[dawn] = 0.0
        period = round(self.config.tariff.demand_period_days * 24.0 / self.dt)
        now.peak[np.arange(self.steps) % period == 0] = 0.0
        now.energy = now.cells.sum(axis=2)
        return now


def run(system, episode, requests, kernel=shipped):
    """Step a case through a kernel from reset."""
    steps, count = system.episode_steps, len(system.participants)
    states = np.zeros((steps + 1, system.state_size))
    flows = np.zeros((steps, count, len(F)))
    ledger = np.zeros((steps, count, len(L)))
    costs = np.zeros(steps)
    kernel.reset_state(system.physics, states[0])
    for t in range(steps):
        costs[t] = kernel.step_hour(
            system.physics,
            t,
            episode.values,
            requests[t],
            states[t],
            states[t + 1],
            flows[t],
            ledger[t],
        )
    return Run(system, episode, requests, states, flows, ledger, costs)


# --- balances -----------------------------------------------------------------------------------


def duty_of(r):
    """Return the CES's duty behind its converter, (steps,)."""
    ces = r.config.ces
    loss = r.config.pool.loss
    virtual = r.flow(F.virtual_kw)[:, : r.members]
    give = np.maximum(virtual, 0.0) / (ces.eta_converter * (1.0 - loss))
    take = np.maximum(-virtual, 0.0) * ces.eta_converter * (1.0 - loss)
    sent, received = r.flow(F.sent_kw)[:, -1], r.flow(F.received_kw)[:, -1]
    return (give - take).sum(axis=1) + sent / ces.eta_converter - ces.eta_converter * received


def check_balances(r):
    """Electricity and heat of every participant balance."""
    inward = (F.battery_kw, F.called_kw, F.chp_kw, F.virtual_kw, F.received_kw, F.import_kw)
    into = [r.flow(c) for c in (*inward, F.unserved_kw)]
    out = [r.flow(c) for c in (F.sent_kw, F.export_kw, F.spill_kw, F.flex_kw)]
    m = r.members
    renewable = (r.series(0) + r.series(1)) - r.flow(F.curtailed_kw)[:, :m]
    left = sum(x[:, :m] for x in into) + renewable
    right = sum(x[:, :m] for x in out) + r.series(2)
    size = sum(np.abs(x) for x in into + out)
    agree(left, right, size[:, :m], "electric balance of a member")
    heat = np.zeros((r.steps, m))
    for p, member in enumerate(r.config.members):
        if member.chp:
            heat[:, p] = member.chp.eta_heat / member.chp.eta_electric * r.flow(F.chp_kw)[:, p]
    supply = heat + r.flow(F.boiler_kw)[:, :m] + r.flow(F.unserved_heat_kw)[:, :m]
    at_most(r.series(3), supply, "heat load")
    used = r.flow(F.boiler_kw)[:, :m] + r.flow(F.unserved_heat_kw)[:, :m]
    agree(used, np.maximum(r.series(3) - heat, 0.0), supply, "heat that boiler and slack give")
    if r.ces:
        duty = duty_of(r)
        agree(r.flow(F.duty_kw)[:, -1], duty, size[:, -1], "duty")
        slack = r.flow(F.unserved_kw)[:, -1] - r.flow(F.spill_kw)[:, -1]
        market = r.flow(F.import_kw)[:, -1] - r.flow(F.export_kw)[:, -1]
        agree(market + slack + r.realised[:, -1], duty, size[:, -1], "electric balance of the CES")


def check_reveal(r):
    """Recourse is the closed form: import, then shed; export, curtail, spill in the right order."""
    limits_in, limits_out = r.ports
    columns = (F.import_kw, F.export_kw, F.unserved_kw, F.spill_kw, F.curtailed_kw, F.boiler_kw,
               F.unserved_heat_kw, F.sent_kw, F.received_kw, F.pool_cut_kw, F.gas_m3,
               F.regulation_kw, F.spinning_kw, F.called_kw, F.chp_kw, F.discharged_kwh)  # fmt: skip
    for column in columns:
        assert (r.flow(column) >= 0.0).all(), column.name
    bought, sold = r.flow(F.import_kw), r.flow(F.export_kw)
    shed, spilt, cut = r.flow(F.unserved_kw), r.flow(F.spill_kw), r.flow(F.curtailed_kw)
    at_most(bought, limits_in, "import")
    at_most(sold, limits_out, "export")
    tiny = 1e-9 * (1.0 + bought + sold + shed + spilt)
    assert not ((bought + shed > tiny) & (sold + spilt + cut > tiny)).any(), "lack and surplus"
    agree(bought[shed > tiny], limits_in[shed > tiny], 0.0, "import while shedding")
    agree(sold[spilt > tiny], limits_out[spilt > tiny], 0.0, "export while spilling")
    m = r.members
    renewable = r.series(0) + r.series(1)
    at_most(cut[:, :m], renewable, "curtailment")
    spill = (spilt > tiny)[:, :m]
    agree(cut[:, :m][spill], renewable[spill], 0.0, "curtailment while spilling")
    negative = (r.shared(X.price_sell) < 0.0)[:, None]
    first_export = (cut > tiny)[:, :m] & ~negative
    agree(sold[:, :m][first_export], limits_out[:, :m][first_export], 0.0, "export before cutting")
    first_cut = (sold > tiny)[:, :m] & negative
    agree(cut[:, :m][first_cut], renewable[first_cut], 0.0, "cutting before a dear export")
    size = np.array([b.capacity_kw if b else 0.0 for b in (x.boiler for x in r.config.members)])
    boiler, cold = r.flow(F.boiler_kw)[:, :m], r.flow(F.unserved_heat_kw)[:, :m]
    at_most(boiler, size, "boiler")
    full = np.broadcast_to(size, boiler.shape)[cold > tiny[:, :m]]
    agree(boiler[cold > tiny[:, :m]], full, 0.0, "boiler while cold")
    assert not cut[:, m:].any(), "the CES has nothing to curtail"
    called = np.zeros((r.steps, r.count))
    if r.ces:
        on = (r.shared(X.spin_call) > 0.0) & (r.shared(X.grid_up) > 0.0)
        called[:, -1] = on * r.flow(F.spinning_kw)[:, -1]
    agree(r.flow(F.called_kw), called, 0.0, "called reserve")


# --- projection -----------------------------------------------------------------------------------


def nearest(feasible, wish, real, span, what):
    """Fail unless `real` is feasible and no tried point nearer to the wish is."""
    assert feasible(np.array([real]))[0], f"{what}: {real!r} is not feasible"
    moved = wish - real
    step = np.sign(moved) * min(abs(moved), 1e-5 * (1.0 + span))
    tries = np.concatenate(
        [
            np.linspace(-1.5 * span, 1.5 * span, 61),
            real + moved * np.array([1e-3, 1e-2, 0.1, 0.5, 1.0]),
            [real + step, 0.0],
        ]
    )
    tries = tries[feasible(tries)]
    best = np.abs(wish - tries).min() if len(tries) else np.inf
    slack = 1e-7 * (1.0 + span) + 1e-12 * abs(wish)
    assert abs(moved) <= best + slack, f"{what}: {real!r} is not nearest to {wish!r}"


def battery_set(r, t, p):
    """Return which powers keep a battery within its limits."""
    b, now = r.batteries[p], r.opening
    kept = r.retention[p] * now.energy[t, p]
    capacity = now.capacity[t, p]
    tol = 1e-9 * (1.0 + max(b.power_kw, b.capacity_kwh))

    def feasible(x):
        change = np.where(x > 0.0, -x / b.eta_discharge, -x * b.eta_charge)
        after = kept + change * r.dt
        fits = (after <= b.soc_max * capacity + tol) | (x >= 0.0)
        return (np.abs(x) <= b.power_kw + tol) & (after >= b.soc_min * capacity - tol) & fits

    return feasible


def chp_set(r, t, p):
    """Return which outputs a CHP can take."""
    chp, before = r.config.members[p].chp, r.opening.chp[t, p]
    if chp is None:
        return lambda x: x == 0.0
    low = chp.min_share * chp.capacity_kw
    ramp = r.dt * (0.5 * chp.capacity_kw if chp.ramp_kw_per_h is None else chp.ramp_kw_per_h)
    edge = max(ramp, low)
    tol = 1e-9 * (1.0 + chp.capacity_kw)

    def feasible(x):
        running = (x >= low - tol) & (x <= chp.capacity_kw + tol)
        if before > 0.0:
            running &= np.abs(x - before) <= ramp + tol
        else:
            running &= x <= edge + tol
        return running | ((x == 0.0) & (before <= edge + 1e-6))

    return feasible


def flex_set(r, t, p):
    """Return which shifts leave a backlog that the rest of the day can clear."""
    flex, backlog = r.config.members[p].flex, r.opening.backlog[t, p]
    if flex is None:
        return lambda x: x == 0.0
    left = (r.day - 1 - r.hour[t]) * r.dt
    tol = 1e-9 * (1.0 + flex.power_kw * 24.0)

    def feasible(x):
        after = backlog + x * r.dt
        return (np.abs(x) <= flex.power_kw + tol) & (np.abs(after) <= flex.power_kw * left + tol)

    return feasible


def virtual_set(r, t, p):
    """Return which virtual powers rent, virtual energy and link allow."""
    if not r.rented:
        return lambda x: x == 0.0
    battery, now, link = r.batteries[-1], r.opening, r.link[p]
    kept = r.retention[-1] * now.virtual[t, p]
    firm = r.flow(F.received_kw)[t, p] - r.flow(F.sent_kw)[t, p] if r.planned else 0.0
    tol = 1e-9 * (1.0 + max(link, now.rental_kwh[t, p], now.rental_kw[t, p]))

    def feasible(x):
        after = kept + r.dt * np.where(x > 0, -x / battery.eta_discharge, -x * battery.eta_charge)
        inside = (after >= -tol) & ((after <= now.rental_kwh[t, p] + tol) | (x >= 0.0))
        power = np.abs(x) <= min(now.rental_kw[t, p], link) + tol
        return inside & power & (np.abs(x + firm) <= link + tol)

    return feasible


def pool_set(r, p, virtual):
    """Return which nominations the link, beside virtual power, and the switches allow."""
    if not r.pooled:
        return lambda x: x == 0.0
    link = r.link[p]
    low, high = -link, link
    if p == r.members:
        low = low if r.config.ces.pool_out else 0.0
        high = high if r.config.ces.pool_in else 0.0
    tol = 1e-9 * (1.0 + link)

    def feasible(x):
        return (x >= low - tol) & (x <= high + tol) & (np.abs(x + virtual) <= link + tol)

    return feasible


def check_projection(r):
    """Every wish goes to the nearest value that its own limits allow, given those before it."""
    names = ("battery", "chp", "flex", "virtual", "pool")
    columns = (F.battery_kw, F.chp_kw, F.flex_kw, F.virtual_kw, F.nominated_kw)
    moved = (F.projected_battery_kw, F.projected_chp_kw, F.projected_flex_kw,
             F.projected_virtual_kw, F.projected_pool_kw)  # fmt: skip
    asked = (A.battery_kw, A.chp_kw, A.flex_kw, A.virtual_kw, A.pool_kw)
    for t in chosen_steps(r):
        for p in range(r.count):
            virtual = r.flow(F.virtual_kw)[t, p]
            sets = [battery_set(r, t, p)]
            if p < r.members:
                sets += [chp_set(r, t, p), flex_set(r, t, p), virtual_set(r, t, p)]
            else:
                sets += [None] * 3
            sets.append(None if r.planned else pool_set(r, p, virtual))
            spans = spans_of(r, p)
            for k, feasible in enumerate(sets):
                if feasible is None:
                    continue
                wish, real = r.wishes[t, p, asked[k]], r.flow(columns[k])[t, p]
                what = f"{names[k]} of participant {p} in step {t}"
                nearest(feasible, wish, real, spans[k], what)
                agree(r.flow(moved[k])[t, p], abs(wish - real), abs(wish), f"projection of {what}")
    if r.ces:
        check_reserve(r)
        if not r.flows[:, r.members, [F.chp_kw, F.flex_kw, F.virtual_kw]].any():
            return
        raise AssertionError("the CES has a CHP, flexible load or virtual power")


def chosen_steps(r):
    """Return the steps that the slower checks look at: all of a short episode, else a sample."""
    if r.steps <= 48:
        return range(r.steps)
    ends = [0, r.day - 1, r.day % r.steps, r.steps - 1]
    return sorted({*ends, *range(0, r.steps, r.steps // 40)})


def spans_of(r, p):
    """Return the size of each component's range for participant p."""
    member = r.config.members[p] if p < r.members else None
    chp = member.chp.capacity_kw if member and member.chp else 1.0
    flex = member.flex.power_kw if member and member.flex else 1.0
    return (r.batteries[p].power_kw, chp, flex, r.link[p], r.link[p])


def check_reserve(r):
    """Regulation, then spinning reserve, lie in the headroom of power and energy."""
    ces, now = r.config.ces, r.opening
    battery, b = ces.battery, r.flow(F.battery_kw)[:, -1]
    regulation, spinning = r.flow(F.regulation_kw)[:, -1], r.flow(F.spinning_kw)[:, -1]
    assert not r.flows[:, : r.members, [F.regulation_kw, F.spinning_kw, F.called_kw]].any()
    if not ces.markets:
        assert not regulation.any(), "regulation with markets off"
        assert not spinning.any(), "spinning reserve with markets off"
        return
    change = np.where(b > 0.0, -b / battery.eta_discharge, -b * battery.eta_charge) * r.dt
    nominal = r.retention[-1] * now.energy[:, -1] + change
    up = (nominal - battery.soc_min * now.capacity[:, -1]) * battery.eta_discharge
    down = (battery.soc_max * now.capacity[:, -1] - nominal) / battery.eta_charge
    power = battery.power_kw
    room = np.min([np.full_like(b, power / 2), power - b, power + b, 2 * up, 2 * down], axis=0)
    scale = power + battery.capacity_kwh
    wish = r.wishes[:, -1, A.regulation_kw]
    agree(regulation, np.maximum(0.0, np.minimum(wish, room)), scale, "regulation")
    agree(r.flow(F.projected_regulation_kw)[:, -1], np.abs(wish - regulation), np.abs(wish))
    held = (up - regulation / 2) / max(1.0, r.dt)
    room = np.min([np.full_like(b, power / 2), power - b - regulation, held], axis=0)
    wish = r.wishes[:, -1, A.spinning_kw]
    agree(spinning, np.maximum(0.0, np.minimum(wish, room)), scale, "spinning reserve")
    agree(r.flow(F.projected_spinning_kw)[:, -1], np.abs(wish - spinning), np.abs(wish))


def check_commitments(r):
    """A day's rent, pool schedule and nomination are cut as stated and then hold all day."""
    dawn = r.hour == 0
    for column in (S.rental_kwh, S.rental_kw, S.quote_per_kwh):
        kept = r.blocks[1:, :, column] == r.blocks[:-1, :, column]
        assert kept[~dawn].all(), column.name
    check_rent(r, dawn)
    if r.planned:
        check_plan(r, dawn)
    if r.config.day_ahead.grid:
        assert (r.nomination[~dawn] == r.nomination[np.flatnonzero(~dawn) - 1]).all()
        base = r.shared(X.nomination_base_kw).reshape(-1, r.day)
        offset = r.nomination[dawn] - base
        wished = r.wished_offset[dawn]
        at_most(np.abs(offset), np.abs(wished), "offset", scale=np.abs(base).max())
        mild = np.abs(wished) <= nomination_range(r)
        agree(offset[mild], wished[mild], np.abs(base).max(), "nomination")
        moved = np.abs(wished - offset).sum(axis=1)
        scale = np.abs(base).max() + moved.max()
        agree(r.flow(F.projected_nomination_kw)[dawn, 0], moved, scale, "projected nomination")


def nomination_range(r):
    """A part of the range that nominations certainly have: one participant's battery."""
    return max(b.power_kw for b in r.batteries)


def check_rent(r, dawn):
    """Requests are cut to the member's most, then pro rata to what the CES may rent out."""
    kwh, kw = r.opening.rental_kwh, r.opening.rental_kw
    if not r.rented:
        assert not kwh.any(), "rent with rental off"
        assert not kw.any(), "rent with rental off"
        return
    ces = r.config.ces
    kappa = ces.overbooking
    caps = (kappa * r.opening.capacity[:, -1], np.full(r.steps, kappa * ces.battery.power_kw))
    asked = (A.rental_kwh, A.rental_kw)
    moved = (F.projected_rental_kwh, F.projected_rental_kw)
    for k, (got, cap) in enumerate(zip((kwh, kw), caps, strict=True)):
        most = [(x.rental_max_kwh, x.rental_max_kw)[k] for x in r.config.members]
        wish = r.wishes[:, : r.members, asked[k]]
        allowed = np.clip(wish, 0.0, most)[dawn]
        total = allowed.sum(axis=1)
        share = np.minimum(1.0, cap[dawn] / np.maximum(total, 1e-300))
        agree(got[dawn][:, : r.members], allowed * share[:, None], 0.0, "rented")
        agree(
            r.flow(moved[k])[dawn][:, : r.members],
            np.abs(wish[dawn] - got[dawn][:, : r.members]),
            np.abs(wish[dawn]),
            "projected rent",
        )
        at_most(got[dawn].sum(axis=1), cap[dawn], "rent in total")


def check_plan(r, dawn):
    """The pool schedule is the wish cut to link and switches; each hour nominates it."""
    assert (r.plan[~dawn] == r.plan[np.flatnonzero(~dawn) - 1]).all()
    low, high = -r.link.copy(), r.link.copy()
    if r.ces:
        low[-1] *= r.config.ces.pool_out
        high[-1] *= r.config.ces.pool_in
    cut = np.clip(r.wished_plan[dawn], low[:, None], high[:, None])
    agree(r.plan[dawn], cut, 0.0, "pool schedule")
    moved = np.abs(r.wished_plan[dawn] - cut).sum(axis=2)
    agree(r.flow(F.projected_pool_kw)[dawn], moved, np.abs(r.wished_plan).max(), "projected pool")
    rows = np.arange(r.steps)
    agree(r.flow(F.nominated_kw), r.plan[rows, :, r.hour], 0.0, "nomination of the hour")


# --- pool ---------------------------------------------------------------------------------------


def quote_limit(r):
    """Return the largest quote that can be made: the dearest purchase that the tariff names."""
    tariff = r.config.tariff
    if tariff.kind == "dynamic":
        return tariff.price_scale_per_kwh
    return float(np.max(tariff.buy_per_kwh)) or 1.0


def quotes_of(r):
    """Return the quotes in force, (steps, participants): those of the day where it is planned."""
    asked = r.wishes[:, :, A.quote_per_kwh]
    taken = np.clip(asked, 0.0, quote_limit(r))
    return r.blocks[1:, :, S.quote_per_kwh] if r.planned else taken


def check_quotes(r):
    """A quote is cut to its range when it is made: each hour, or for the day."""
    asked = r.wishes[:, :, A.quote_per_kwh]
    taken = np.clip(asked, 0.0, quote_limit(r))
    made = r.hour == 0 if r.planned else np.ones(r.steps, dtype=bool)
    if r.planned:
        assert (quotes_of(r)[made] == taken[made]).all()
    moved = np.abs(asked - taken) * made[:, None]
    agree(r.flow(F.projected_quote_per_kwh), moved, np.abs(asked), "projection of the quote")
    assert (r.flow(F.quote_per_kwh) == quotes_of(r)).all(), "quote in force"


def serve(wanted, quantity, order):
    """Serve in rising order until the quantity is gone; equal ones share pro rata."""
    served = np.zeros_like(wanted)
    for level in np.unique(order[wanted > 0.0]):
        tied = (order == level) & (wanted > 0.0)
        part = min(1.0, quantity / wanted[tied].sum())
        served[tied] = part * wanted[tied]
        quantity -= served[tied].sum()
    return served


def cleared(r, t):
    """Return (sent, received, supply, demand) of a step from its nominations."""
    x = r.flow(F.nominated_kw)[t].copy()
    if not r.config.pool.members:
        ces = x[-1] if r.ces else 0.0
        members = x[: r.members]
        members[members * ces >= 0.0] = 0.0
    send, take = np.maximum(-x, 0.0), np.maximum(x, 0.0)
    keep = 1.0 - r.config.pool.loss
    supply, demand = keep * send.sum(), take.sum()
    moved = min(supply, demand)
    if moved == 0.0:
        return 0.0 * send, 0.0 * take, supply, demand
    if r.config.pool.price_rule == "auction":
        quotes = quotes_of(r)[t]
        return serve(send, moved / keep, quotes), serve(take, moved, -quotes), supply, demand
    return send * (moved / supply), take * (moved / demand), supply, demand


def payments(r, t, sent, received, supply, demand):
    """Return what each participant pays for pool energy in a step."""
    buy, sell = r.shared(X.price_buy)[t], r.shared(X.price_sell)[t]
    pool = r.config.pool
    if min(supply, demand) == 0.0 or pool.price_rule == "none":
        return np.zeros(r.count)
    if pool.price_rule == "posted":
        pairs = np.outer(sent / sent.sum(), received) * r.dt * buy
        factor = np.full(pairs.shape, pool.posted.member_to_member)
        if r.ces:
            factor[:, -1] = pool.posted.member_to_ces
            factor[-1, :] = pool.posted.ces_to_member
        pairs = pairs * factor
        return pairs.sum(axis=0) - pairs.sum(axis=1)
    quotes = np.clip(quotes_of(r)[t], sell, buy)  # for the price only: service knows no prices
    price = {
        "mid_market": lambda: (buy + sell) / 2.0,
        "sdr": lambda: buy - (buy - sell) * min(1.0, supply / demand),
        "auction": lambda: (quotes[sent > 0.0].max() + quotes[received > 0.0].min()) / 2.0,
    }[pool.price_rule]()
    return price * r.dt * (received - (1.0 - pool.loss) * sent)


def check_pool(r):
    """What is sent arrives less the loss, the long side is cut, the rule prices it."""
    check_quotes(r)
    sent, received = r.flow(F.sent_kw), r.flow(F.received_kw)
    keep = 1.0 - r.config.pool.loss
    agree(keep * sent.sum(axis=1), received.sum(axis=1), 0.0, "pool balance")
    cut = np.abs(r.flow(F.nominated_kw) - received + sent)
    agree(r.flow(F.pool_cut_kw), cut, 0.0, "pool cut")
    link = r.flow(F.virtual_kw) + received - sent
    at_most(np.abs(link), r.link, "link")
    for t in chosen_steps(r):
        give, take, supply, demand = cleared(r, t)
        scale = supply + demand
        agree(sent[t], give, scale, f"sent in step {t}")
        agree(received[t], take, scale, f"received in step {t}")
        pay = payments(r, t, sent[t], received[t], supply, demand)
        agree(r.account(L.pool_payment)[t], pay, scale, f"pool payment in step {t}")


# --- states ---------------------------------------------------------------------------------------


def moved_cells(r):
    """Return cells after each step, energy taken and wear: cheapest segment first."""
    now, power = r.opening, r.realised
    cells = now.cells * r.retention[:, None]
    eta_c, eta_d = r.of_battery("eta_charge"), r.of_battery("eta_discharge")
    taken = np.maximum(power, 0.0) * r.dt / eta_d
    stored = np.maximum(-power, 0.0) * r.dt * eta_c
    reach = np.minimum(np.cumsum(cells, axis=2), taken[:, :, None])
    out = np.diff(reach, axis=2, prepend=0.0)
    room = np.maximum(now.capacity[:, :, None] / r.segments - cells, 0.0)
    reach = np.minimum(np.cumsum(room, axis=2), stored[:, :, None])
    after = cells - out + np.diff(reach, axis=2, prepend=0.0)
    return after, taken, (out * r.wear_costs).sum(axis=2)


def check_states(r):
    """The next state is what the flows say, within its limits."""
    now, following = r.opening, r.blocks[1:]
    after, taken, _ = moved_cells(r)
    size = now.capacity + r.of_battery("power_kw") * r.dt
    agree(r.cells[1:], after, size[:, :, None], "cells")
    agree(r.cells[1:].sum(axis=2), after.sum(axis=2), size, "energy")
    agree(r.flow(F.discharged_kwh), taken, size, "energy taken from the cells")
    agree(following[:, :, S.capacity_kwh], now.capacity, size, "capacity")
    check_energy_limits(r, size)
    assert (following[:, :, S.chp_kw] == r.flow(F.chp_kw)).all()
    worn = now.wear_today + r.account(L.wear)
    agree(following[:, :, S.wear_today], worn, 0.0, "wear of the day")
    peak = np.maximum(now.peak, r.flow(F.import_kw))[:, : r.members]
    agree(following[:, : r.members, S.peak_kw], peak, 0.0, "import peak")
    backlog = now.backlog + r.flow(F.flex_kw) * r.dt
    agree(following[:, :, S.backlog_kwh], backlog, 1e3, "backlog")
    at_most(np.abs(backlog[r.hour == r.day - 1]), 1e-6, "backlog at the day's end")
    check_virtual(r)


def check_energy_limits(r, size):
    """Energy stays within its limits; above a faded one it may only come down."""
    now, after = r.opening, r.cells[1:].sum(axis=2)
    low = r.of_battery("soc_min") * now.capacity
    high = np.maximum(r.of_battery("soc_max") * now.capacity, r.retention * now.energy)
    at_most(low, after, "lowest energy", scale=size)
    at_most(after, high, "highest energy", scale=size)
    at_most(np.abs(r.realised), r.of_battery("power_kw"), "battery power")
    cap = now.capacity / r.segments
    at_most(r.cells[1:, :, : r.segments - 1], cap[:, :, None], "a segment's energy", scale=1e3)
    begin = r.of_battery("soc_initial") * r.of_battery("capacity_kwh")
    agree(r.cells[0].sum(axis=1), begin, 0.0, "energy at reset")
    full = r.of_battery("capacity_kwh") / r.segments
    filled = np.clip(begin[:, None] - full[:, None] * np.arange(r.segments), 0.0, full[:, None])
    agree(r.cells[0], filled, begin[:, None], "cells at reset")


def virtual_after(r):
    """Return each member's virtual energy after each step, before the day's settlement."""
    if not r.ces:
        return np.zeros((r.steps, r.members))
    battery, virtual = r.batteries[-1], r.flow(F.virtual_kw)[:, : r.members]
    out = np.maximum(virtual, 0.0) / battery.eta_discharge
    into = np.maximum(-virtual, 0.0) * battery.eta_charge
    return r.retention[-1] * r.opening.virtual[:, : r.members] + (into - out) * r.dt


def check_virtual(r):
    """Virtual energy lies in [0, K] and is sold at the day's end."""
    after = virtual_after(r)
    at_most(0.0, after, "virtual energy", scale=1e3)
    at_most(after, r.opening.rental_kwh[:, : r.members], "virtual energy", scale=1e3)
    dusk = r.hour == r.day - 1
    stored = r.blocks[1:, : r.members, S.virtual_kwh]
    agree(stored[~dusk], after[~dusk], 1e3, "virtual energy")
    assert not stored[dusk].any(), "virtual energy is left overnight"


# --- money ----------------------------------------------------------------------------------------


def expected_ledger(r):
    """Return the ledger by name, each (steps, participants), from flows, prices and states."""
    m, dt, config = r.members, r.dt, r.config
    book = {name: np.zeros((r.steps, r.count)) for name in L.names()}
    flow = {c.name: r.flow(c) for c in F}
    price = {c.name: r.shared(c)[:, None] for c in X}
    tariff, penalties, carbon, pool = config.tariff, config.penalties, config.carbon, config.pool
    book["grid_import"][:, :m] = (price["price_buy"] * flow["import_kw"] * dt)[:, :m]
    book["grid_export"][:, :m] = -(price["price_sell"] * flow["export_kw"] * dt)[:, :m]
    gas = np.zeros((r.steps, r.count))
    for p, member in enumerate(config.members):
        power = flow["chp_kw"][:, p]
        if member.chp:
            fuel = member.chp.eta_electric * member.chp.gas_lhv_kwh_per_m3
            gas[:, p] += power * dt / fuel
            book["chp_om"][:, p] = member.chp.om_per_kwh * power * dt
            started = (power > 0.0) & (np.append(0.0, power[:-1]) == 0.0)
            book["chp_start"][:, p] = member.chp.start_cost * started
        if member.boiler:
            fuel = member.boiler.eta * member.boiler.gas_lhv_kwh_per_m3
            gas[:, p] += flow["boiler_kw"][:, p] * dt / fuel
        if member.flex:
            book["flex"][:, p] = member.flex.cost_per_kwh * np.abs(flow["flex_kw"][:, p]) * dt
    agree(flow["gas_m3"], gas, 0.0, "gas")
    book["gas"] = tariff.gas_per_m3 * gas
    book["wear"] = expected_wear(r)
    book["pool_fee"] = pool.fee_per_kwh * flow["received_kw"] * dt
    book["unserved"] = penalties.unserved_per_kwh * flow["unserved_kw"] * dt
    book["unserved_heat"] = penalties.unserved_heat_per_kwh * flow["unserved_heat_kw"] * dt
    book["spill"] = penalties.spill_per_kwh * flow["spill_kw"] * dt
    excess = np.maximum(flow["import_kw"] - r.opening.peak, 0.0)[:, :m]
    book["demand_charge"][:, :m] = tariff.demand_charge_per_kw * excess
    emitted = price["carbon_kg_per_kwh"] * flow["import_kw"] * dt + carbon.gas_kg_per_m3 * gas
    book["carbon"] = carbon.price_per_kg * emitted
    if config.day_ahead.grid:
        book["imbalance"] = expected_imbalance(r)
    add_terminal(r, book)
    if r.ces:
        add_ces(r, book, flow, price)
    return book


def expected_wear(r):
    """Wear of the energy taken, cheapest segment first, and of regulation."""
    _, _, wear = moved_cells(r)
    if r.ces:
        battery = r.config.ces.battery
        shallow = 0.25 * 0.08 * r.flow(F.regulation_kw)[:, -1] * r.dt / battery.eta_discharge
        wear[:, -1] += r.wear_costs[-1, 0] * shallow * (r.shared(X.grid_up) > 0.0)
    return wear


def expected_imbalance(r):
    """The community's deviation from its nomination, by share of exchange with the grid."""
    exchange = r.flow(F.import_kw) - r.flow(F.export_kw)
    g = r.nomination[np.arange(r.steps), r.hour]
    d = exchange.sum(axis=1) - g
    spot = r.shared(X.spot)
    short, long = r.episode.price_short - spot, spot - r.episode.price_long
    cost = (short * np.maximum(d, 0.0) + long * np.maximum(-d, 0.0)) * r.dt
    cost[r.shared(X.grid_up) == 0.0] = 0.0
    size = np.abs(exchange)
    total = size.sum(axis=1, keepdims=True)
    share = np.where(total > 0.0, size / np.where(total > 0.0, total, 1.0), 1.0 / r.count)
    return share * cost[:, None]


def add_terminal(r, book):
    """Energy left is valued once, at the end, against the energy at reset."""
    default = r.config.terminal
    for p, b in enumerate(r.batteries):
        buy = default.buy_per_kwh if b.terminal_buy_per_kwh is None else b.terminal_buy_per_kwh
        sell = default.sell_per_kwh if b.terminal_sell_per_kwh is None else b.terminal_sell_per_kwh
        missing = b.soc_initial * b.capacity_kwh - r.cells[-1, p].sum()
        book["terminal"][-1, p] = (buy if missing > 0.0 else sell) * missing


def add_ces(r, book, flow, price):
    """Everything that only a system with a CES books."""
    m, dt, ces, pool = r.members, r.dt, r.config.ces, r.config.pool
    for name in ("grid_import", "grid_export"):
        book[name][:, m] = 0.0
    bought, sold = flow["import_kw"][:, m], flow["export_kw"][:, m]
    ces_buy, ces_sell = price["ces_buy"][:, 0], price["ces_sell"][:, 0]
    book["market"][:, m] = (ces_buy * bought - ces_sell * sold) * dt
    paid = price["rho_regulation"][:, 0] * flow["regulation_kw"][:, m]
    paid = paid + price["rho_spinning"][:, 0] * flow["spinning_kw"][:, m]
    book["reserve_revenue"][:, m] = -paid * dt * (price["grid_up"][:, 0] > 0.0)
    virtual = flow["virtual_kw"][:, :m]
    book["pool_fee"][:, :m] += pool.fee_per_kwh * np.maximum(virtual, 0.0) * dt
    arriving = (1.0 - pool.loss) * np.maximum(-virtual, 0.0).sum(axis=1)
    book["pool_fee"][:, m] += pool.fee_per_kwh * arriving * dt
    service = ces.service_fee_per_kwh * np.abs(virtual) * dt
    rent = ces.rental_per_kwh * r.opening.rental_kwh + ces.rental_per_kw * r.opening.rental_kw
    rent = rent[:, :m] * (r.hour == 0)[:, None]
    left = np.zeros((r.steps, m))
    if r.rented:
        dusk = np.flatnonzero(r.hour == r.day - 1)
        lowest = np.maximum(r.shared(X.price_sell).reshape(-1, r.day).min(axis=1), 0.0)
        left[dusk] = lowest[:, None] * virtual_after(r)[dusk]
    paying = (("service_fee", service), ("rental", rent), ("virtual_settlement", -left))
    for name, amount in paying:
        book[name][:, :m] = amount
        book[name][:, m] = -amount.sum(axis=1)


def check_ledger(r):
    """Every term of the ledger is what flows, prices and states say, term by term."""
    book = expected_ledger(r)
    for column in L:
        if column is L.pool_payment:
            continue  # check_pool
        scale = np.abs(r.ledger).sum(axis=2) if column is L.imbalance else 1.0
        agree(r.account(column), book[column.name], scale, column.name)


def check_transfers(r):
    """Transfers sum to zero in each step; the cost is the sum of the real terms."""
    size = np.abs(r.ledger).sum(axis=(1, 2))
    for name in TRANSFERS:
        agree(r.account(L[name]).sum(axis=1), np.zeros(r.steps), size, name)
    real = r.ledger[:, :, : len(REAL_COSTS)].sum(axis=(1, 2))
    agree(r.costs, real, size, "cost of the step")
    assert np.isfinite(r.ledger).all()
    assert np.isfinite(r.states).all()
    assert np.isfinite(r.flows).all()


CHECKS = (
    check_transfers,
    check_balances,
    check_reveal,
    check_ledger,
    check_states,
    check_pool,
    check_commitments,
    check_projection,
)


def check_all(r):
    """Run every check."""
    for check in CHECKS:
        check(r)


# --- causality ------------------------------------------------------------------------------------


def check_causality(case, r, kernel=shipped):
    """A step reads no row after its own, but for the nomination base of its day."""
    system, episode, requests = case
    rng = np.random.default_rng(0)
    for t in (0, 1, r.day // 2, r.day - 1, r.steps - 2):
        future = np.array(episode.values)
        noise = rng.uniform(0.0, 50.0, future[t + 1 :].shape)
        base = 4 * r.members + X.nomination_base_kw
        today = (t // r.day + 1) * r.day
        kept = future[t + 1 : today, base].copy()
        future[t + 1 :] = noise
        future[t + 1 : today, base] = kept
        after = np.zeros_like(r.states[t])
        flows, ledger = np.zeros_like(r.flows[t]), np.zeros_like(r.ledger[t])
        args = (system.physics, t, future, requests[t], r.states[t], after, flows, ledger)
        kernel.step_hour(*args)
        assert after.tobytes() == r.states[t + 1].tobytes(), f"state after step {t} saw the future"
        assert flows.tobytes() == r.flows[t].tobytes(), f"flows of step {t} saw the future"
        assert ledger.tobytes() == r.ledger[t].tobytes(), f"ledger of step {t} saw the future"


# --- the same step again --------------------------------------------------------------------------


def realised_requests(r):
    """Return the wishes that ask for exactly what was realised."""
    asked = r.wishes.copy()
    pairs = (
        (A.battery_kw, r.flow(F.battery_kw)),
        (A.chp_kw, r.flow(F.chp_kw)),
        (A.flex_kw, r.flow(F.flex_kw)),
        (A.virtual_kw, r.flow(F.virtual_kw)),
        (A.pool_kw, r.flow(F.nominated_kw)),
        (A.quote_per_kwh, quotes_of(r)),
        (A.regulation_kw, r.flow(F.regulation_kw)),
        (A.spinning_kw, r.flow(F.spinning_kw)),
        (A.rental_kwh, r.opening.rental_kwh),
        (A.rental_kw, r.opening.rental_kw),
    )
    for column, values in pairs:
        asked[:, :, column] = values
    parts = [asked.reshape(r.steps, -1)]
    if r.planned:
        parts.append(r.plan.reshape(r.steps, -1))
    if r.config.day_ahead.grid:
        base = r.shared(X.nomination_base_kw).reshape(-1, r.day)
        parts.append(r.nomination - np.repeat(base, r.day, axis=0))
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


def check_idempotent(r):
    """Asking for what was realised gives the same run and moves nothing."""
    again = run(r.system, r.episode, realised_requests(r))
    moved = [c for c in F if c.name.startswith("projected_")]
    rest = [c for c in F if c not in moved]
    size = np.abs(r.flows[:, :, rest]).max(axis=(1, 2), keepdims=True)
    grid = np.abs(r.shared(X.nomination_base_kw)).max()
    agree(again.flows[:, :, rest], r.flows[:, :, rest], size, "flows the second time")
    agree(again.ledger, r.ledger, size + grid, "ledger the second time")
    agree(again.states, r.states, 1e3, "states the second time")
    assert np.abs(again.flows[:, :, moved]).max() <= 1e-6 * (1.0 + size.max() + grid)


# --- forecasts ------------------------------------------------------------------------------------


def ordered(system, rows):
    """Clip rows of exogenous values to their physical range and order their prices."""
    config, members = system.config, len(system.config.members)
    rows = rows.copy()
    for m, member in enumerate(config.members):
        for kind, device in enumerate((member.wind, member.pv)):
            most = device.capacity_kw if device else 0.0
            rows[:, kind * members + m] = np.clip(rows[:, kind * members + m], 0.0, most)
        least = member.flex.power_kw if member.flex else 0.0
        rows[:, 2 * members + m] = np.maximum(rows[:, 2 * members + m], least)
        rows[:, 3 * members + m] = np.maximum(rows[:, 3 * members + m], 0.0)
    price = {column: rows[:, 4 * members + column] for column in X}
    for column in (X.price_buy, X.short_premium, X.long_premium, X.rho_regulation, X.rho_spinning):
        price[column][:] = np.maximum(price[column], 0.0)
    price[X.price_sell][:] = np.minimum(price[X.price_sell], price[X.price_buy])
    if config.ces is not None:
        eta, keep, fee = config.ces.eta_converter, 1.0 - config.pool.loss, config.pool.fee_per_kwh
        cap = (price[X.price_buy] / keep + fee) / eta
        sell, buy = price[X.ces_sell], price[X.ces_buy]
        sell[:] = np.minimum(sell, cap)
        floor = eta * keep * (price[X.price_sell] - fee)
        buy[:] = np.maximum(np.maximum(buy, floor), sell)
    net = rows[:, 2 * members : 3 * members] - rows[:, :members] - rows[:, members : 2 * members]
    price[X.nomination_base_kw][:] = net.sum(axis=1)
    return rows


def expected_forecast(system, episode, t):
    """Return the forecast issued at t: what was believed, plus what the past's errors leave."""
    model, leads = episode.model, np.arange(episode.leads)
    last = episode.errors[t - 1] if t > 0 else np.zeros(len(model.phi))
    carried = last * model.phi ** (leads[:, None] + 1)
    error = np.where(model.path >= 0, carried[:, model.path], 0.0)
    rows = episode.center[t : t + len(leads)] + episode.scale[t : t + len(leads)] * error
    rows = ordered(system, rows)
    day, shared = system.steps_per_day, 4 * len(system.members)
    up, share = episode.grid_up[t], episode.shared(X.derating)[t]
    same_day = leads < day - t % day
    rows[:, shared + X.derating] = np.where(same_day, share, 1.0)
    expected = rows[:, shared + X.derating].copy()
    expected[: 3 if up == 0.0 else 1] = up
    rows[:, shared + X.grid_up] = expected
    return rows


def check_forecasts(case, forecast_into=shipped_forecast):
    """Every issue is the martingale's, whatever the truth holds from its own hour on."""
    system, episode, _ = case
    model = episode.model
    for t in (0, 1, episode.steps // 2, episode.steps - 1):
        wild = np.array(episode.values)
        wild[t + 1 :] = 7.0
        errors = np.array(episode.errors)
        errors[t:] = 3.0
        out = np.empty((episode.leads, episode.values.shape[1]))
        known = (episode.center, episode.scale, model.path, model.phi, errors, wild)
        forecast_into(episode.world, t, *known, model.low, model.high, out)
        agree(out, expected_forecast(system, episode, t), 1.0, f"forecast issued at {t}")
