"""One hour of a community: scalar physics compiled by numba, and the loops that call it.

The order of events is that of docs/model.md, section 2: a day's commitments, the projection of
each wish to the nearest feasible value, the pool on nominations, the reveal of hour t, money.
Everything here is a pure function of its arguments that writes only into the arrays named `new_*`,
`flows` and `ledger`. With NUMBA_DISABLE_JIT=1 the same source runs as plain Python, bit-equal.

Physics and loops share this file because numba's cache on disk sees edits of this file only.

Storage, per hour, with segment energies e_j (wear grows with depth, cheapest first)::

    sum e' = retention * sum e + (eta_c * charge - discharge / eta_d) * dt

Source: docs/model.md sections 1-6; wear after Xu et al. 2018 (form), the rest as tagged there.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmg_env.compilation import jit
from mmg_env.layout import PRICE_RULES, REAL_COSTS, A, F, L, P, S, W, X

Array = NDArray[np.float64]

# Solver tolerance: a plan that sits on a ramp's edge up to this is taken to sit on it.
EDGE_TOLERANCE_KW = 1e-6
REGULATION_WEAR = 0.25 * 0.08  # discharged share of offered energy, and its shallow-cycle factor

N_ACTION = len(A)
N_STATE = len(S)
N_SHARED = len(X)
N_REAL = len(REAL_COSTS)
SDR, POSTED, AUCTION, NO_PRICE = (PRICE_RULES[r] for r in ("sdr", "posted", "auction", "none"))


class Physics(NamedTuple):
    """All constants of a system, as the kernel reads them.

    world: (len(W),); table: (participants, len(P)); wear: (participants, segments), currency per
    kWh discharged from the cells, rising along the segments.
    """

    world: Array
    table: Array
    wear: Array


@jit
def clip(x, low, high):
    """Return the point of [low, high] nearest to x."""
    if x < low:
        return low
    if x > high:
        return high
    return x


# --- storage ----------------------------------------------------------------------------------


@jit
def battery_range(table, p, capacity_kwh, energy_kwh, dt_h):
    """Return the lowest and highest power (kW, discharge > 0) that keep e' within its limits.

    Energy above a faded limit may only be discharged; energy below the lower limit (decay) is
    charged back.
    """
    kept = table[p, P.retention] * energy_kwh
    room = table[p, P.soc_max] * capacity_kwh - kept
    content = kept - table[p, P.soc_min] * capacity_kwh
    rating = table[p, P.battery_kw]
    low = -room / (table[p, P.eta_charge] * dt_h) if room > 0.0 else 0.0
    if content >= 0.0:
        high = content * table[p, P.eta_discharge] / dt_h
    else:
        high = content / (table[p, P.eta_charge] * dt_h)
    return clip(low, -rating, 0.0), clip(high, -rating, rating)


@jit
def energy_after(table, p, energy_kwh, power_kw, dt_h):
    """Return the energy (kWh) that remains after one step at power_kw."""
    kept = table[p, P.retention] * energy_kwh
    if power_kw > 0.0:
        return kept - power_kw * dt_h / table[p, P.eta_discharge]
    return kept - power_kw * dt_h * table[p, P.eta_charge]


@jit
def move_energy(table, wear, state, p, power_kw, dt_h):
    """Charge or discharge the segments in place, cheapest first; return (kWh taken, wear cost)."""
    count = wear.shape[1]
    cap = state[p, S.capacity_kwh] / count
    for j in range(N_STATE, N_STATE + count):
        state[p, j] = table[p, P.retention] * state[p, j]
    if power_kw > 0.0:
        taken = power_kw * dt_h / table[p, P.eta_discharge]
        left = taken
        cost = 0.0
        for j in range(count):
            stored = state[p, N_STATE + j]
            part = stored if stored < left else left
            state[p, N_STATE + j] = stored - part
            left = left - part
            cost = cost + wear[p, j] * part
        return taken, cost
    left = -power_kw * dt_h * table[p, P.eta_charge]
    for j in range(N_STATE, N_STATE + count):
        room = cap - state[p, j]
        part = clip(left, 0.0, room if room > 0.0 else 0.0)
        state[p, j] = state[p, j] + part
        left = left - part
    last = N_STATE + count - 1
    state[p, last] = state[p, last] + left  # rounding only: limits bind before
    return 0.0, 0.0


@jit
def fade_storage(table, state, p, count):
    """Shrink the capacity by the wear paid yesterday; energy moves up the shrunken segments.

    A sum of cycle losses of 1, paid as replacement_cost * capacity, is end of life at 80 %.
    """
    if table[p, P.replacement_cost_per_kwh] <= 0.0:
        return
    lost = 0.2 * state[p, S.wear_today] / table[p, P.replacement_cost_per_kwh]
    state[p, S.capacity_kwh] = state[p, S.capacity_kwh] - lost
    cap = state[p, S.capacity_kwh] / count
    for j in range(N_STATE, N_STATE + count - 1):
        if state[p, j] > cap:
            state[p, j + 1] = state[p, j + 1] + (state[p, j] - cap)
            state[p, j] = cap


@jit
def stored_kwh(state, p, count):
    """Return the energy in all segments of participant p (kWh)."""
    energy = 0.0
    for j in range(N_STATE, N_STATE + count):
        energy = energy + state[p, j]
    return energy


# --- CHP, flexible load, virtual battery --------------------------------------------------------


@jit
def nearest_chp(table, p, before_kw, wish_kw):
    """Return the feasible CHP output nearest to wish_kw; a tie goes to standstill."""
    if table[p, P.chp_kw] <= 0.0:
        return 0.0
    if before_kw > 0.0:
        low = before_kw - table[p, P.chp_ramp_kw]
        if low < table[p, P.chp_min_kw]:
            low = table[p, P.chp_min_kw]
        high = before_kw + table[p, P.chp_ramp_kw]
        can_stop = before_kw <= table[p, P.chp_edge_kw] + EDGE_TOLERANCE_KW
    else:
        low = table[p, P.chp_min_kw]
        high = table[p, P.chp_edge_kw]
        can_stop = True
    if high > table[p, P.chp_kw]:
        high = table[p, P.chp_kw]
    running = clip(wish_kw, low, high)
    if can_stop and abs(wish_kw) <= abs(wish_kw - running):
        return 0.0
    return running


@jit
def flex_range(rating_kw, backlog_kwh, hours_left, dt_h):
    """Return the shifts (kW) that leave a backlog which the hours left of the day can clear."""
    low = (-rating_kw * hours_left - backlog_kwh) / dt_h
    high = (rating_kw * hours_left - backlog_kwh) / dt_h
    return clip(low, -rating_kw, rating_kw), clip(high, -rating_kw, rating_kw)


@jit
def virtual_range(table, ces, state, p, pool_kw, dt_h):
    """Return the virtual powers (kW) within rent, virtual energy and what the link has left.

    The virtual battery has the efficiencies and the retention of the CES's.
    """
    link = table[p, P.link_kw]
    kept = table[ces, P.retention] * state[p, S.virtual_kwh]
    limit = state[p, S.rental_kw] if state[p, S.rental_kw] < link else link
    room = state[p, S.rental_kwh] - kept
    low = -room / (table[ces, P.eta_charge] * dt_h) if room > 0.0 else 0.0
    high = kept * table[ces, P.eta_discharge] / dt_h
    low = clip(low, -limit, 0.0)
    high = clip(high, 0.0, limit)
    return clip(low, -link - pool_kw, 0.0), clip(high, 0.0, link - pool_kw)


# --- the day's commitments ----------------------------------------------------------------------


@jit
def pool_range(world, link_kw, is_ces):
    """Return the pool nominations (kW) that link and switches allow."""
    if world[W.pool_enabled] == 0.0:
        return 0.0, 0.0
    low = -link_kw
    high = link_kw
    if is_ces and world[W.pool_out] == 0.0:
        low = 0.0
    if is_ces and world[W.pool_in] == 0.0:
        high = 0.0
    return low, high


@jit
def rent_capacity(physics, members, request, state, flows, ledger):
    """Cut the rental requests pro rata to what the CES may rent out; rent is due at once."""
    world, table = physics.world, physics.table
    ces = members
    sum_kwh = 0.0
    sum_kw = 0.0
    for p in range(members):
        wish_kwh, wish_kw = (
            request[p * N_ACTION + A.rental_kwh],
            request[p * N_ACTION + A.rental_kw],
        )
        state[p, S.rental_kwh] = clip(wish_kwh, 0.0, table[p, P.rental_max_kwh])
        state[p, S.rental_kw] = clip(wish_kw, 0.0, table[p, P.rental_max_kw])
        sum_kwh = sum_kwh + state[p, S.rental_kwh]
        sum_kw = sum_kw + state[p, S.rental_kw]
    cap_kwh = world[W.overbooking] * state[ces, S.capacity_kwh]
    cap_kw = world[W.overbooking] * table[ces, P.battery_kw]
    share_kwh = cap_kwh / sum_kwh if sum_kwh > cap_kwh else 1.0
    share_kw = cap_kw / sum_kw if sum_kw > cap_kw else 1.0
    for p in range(members):
        wish_kwh, wish_kw = (
            request[p * N_ACTION + A.rental_kwh],
            request[p * N_ACTION + A.rental_kw],
        )
        state[p, S.rental_kwh] = share_kwh * state[p, S.rental_kwh]
        state[p, S.rental_kw] = share_kw * state[p, S.rental_kw]
        flows[p, F.projected_rental_kwh] = abs(wish_kwh - state[p, S.rental_kwh])
        flows[p, F.projected_rental_kw] = abs(wish_kw - state[p, S.rental_kw])
        rent = world[W.rental_per_kwh] * state[p, S.rental_kwh]
        rent = rent + world[W.rental_per_kw] * state[p, S.rental_kw]
        ledger[p, L.rental] = rent
        ledger[ces, L.rental] = ledger[ces, L.rental] - rent


@jit
def take_quote(world, p, request, flows):
    """Return participant p's quote, clipped to its range."""
    wish = request[p * N_ACTION + A.quote_per_kwh]
    quote = clip(wish, 0.0, world[W.quote_max_per_kwh])
    flows[p, F.projected_quote_per_kwh] = abs(wish - quote)
    return quote


@jit
def schedule_pool(world, table, members, request, plan, state, flows):
    """Take in the day's pool schedules, cut to links and switches; quotes hold for the day."""
    participants = table.shape[0]
    day = int(world[W.steps_per_day])
    for p in range(participants):
        state[p, S.quote_per_kwh] = take_quote(world, p, request, flows)
        low, high = pool_range(world, table[p, P.link_kw], p == members)
        for h in range(day):
            wish = request[participants * N_ACTION + p * day + h]
            firm = clip(wish, low, high)
            state[p, plan + h] = firm
            flows[p, F.projected_pool_kw] = flows[p, F.projected_pool_kw] + abs(wish - firm)


@jit
def nominate(world, base, request, nomination, flows):
    """Take in the community's nomination: the forecast net load plus the chosen offsets."""
    day = int(world[W.steps_per_day])
    limit = world[W.nomination_range_kw]
    first = request.shape[0] - day
    for h in range(day):
        wish = request[first + h]
        offset = clip(wish, -limit, limit)
        nomination[h] = base[h] + offset
        moved = flows[0, F.projected_nomination_kw] + abs(wish - offset)
        flows[0, F.projected_nomination_kw] = moved


@jit
def begin_day(physics, t, request, state, flows, ledger):
    """Fade, clear what belongs to yesterday, then take in rent and pool schedule."""
    world, table = physics.world, physics.table
    participants = table.shape[0]
    members = participants - int(world[W.has_ces])
    count = physics.wear.shape[1]
    for p in range(participants):
        if world[W.fade] > 0.0 and t > 0:
            fade_storage(table, state, p, count)
        state[p, S.wear_today] = 0.0
        state[p, S.backlog_kwh] = 0.0
        state[p, S.virtual_kwh] = 0.0
        if t % int(world[W.demand_period_steps]) == 0:
            state[p, S.peak_kw] = 0.0
    if world[W.day_ahead_pool] > 0.0:
        schedule_pool(world, table, members, request, N_STATE + count, state, flows)
    if world[W.rental] > 0.0:
        rent_capacity(physics, members, request, state, flows, ledger)


# --- projection ---------------------------------------------------------------------------------


@jit
def project_member(physics, p, request, hour, state, flows):
    """Move a member's battery, CHP and flexible load to the nearest feasible values."""
    world, table = physics.world, physics.table
    dt = world[W.dt_h]
    wish = request[p * N_ACTION + A.battery_kw]
    energy = stored_kwh(state, p, physics.wear.shape[1])
    low, high = battery_range(table, p, state[p, S.capacity_kwh], energy, dt)
    flows[p, F.battery_kw] = clip(wish, low, high)
    flows[p, F.projected_battery_kw] = abs(wish - flows[p, F.battery_kw])
    wish = request[p * N_ACTION + A.chp_kw]
    flows[p, F.chp_kw] = nearest_chp(table, p, state[p, S.chp_kw], wish)
    flows[p, F.projected_chp_kw] = abs(wish - flows[p, F.chp_kw])
    wish = request[p * N_ACTION + A.flex_kw]
    hours_left = (world[W.steps_per_day] - 1.0 - hour) * dt
    low, high = flex_range(table[p, P.flex_kw], state[p, S.backlog_kwh], hours_left, dt)
    flows[p, F.flex_kw] = clip(wish, low, high)
    flows[p, F.projected_flex_kw] = abs(wish - flows[p, F.flex_kw])


@jit
def project_virtual(table, ces, p, request, pool_kw, dt_h, state, flows):
    """Move a member's virtual power to the nearest feasible value beside pool_kw on its link."""
    wish = request[p * N_ACTION + A.virtual_kw]
    low, high = virtual_range(table, ces, state, p, pool_kw, dt_h)
    flows[p, F.virtual_kw] = clip(wish, low, high)
    flows[p, F.projected_virtual_kw] = abs(wish - flows[p, F.virtual_kw])


@jit
def project_pool(world, table, p, is_ces, request, flows):
    """Move an hourly pool nomination into what virtual power leaves of the link."""
    wish = request[p * N_ACTION + A.pool_kw]
    link = table[p, P.link_kw]
    low, high = pool_range(world, link, is_ces)
    if low < -link - flows[p, F.virtual_kw]:
        low = -link - flows[p, F.virtual_kw]
    if high > link - flows[p, F.virtual_kw]:
        high = link - flows[p, F.virtual_kw]
    flows[p, F.nominated_kw] = clip(wish, low, high)
    flows[p, F.projected_pool_kw] = abs(wish - flows[p, F.nominated_kw])


@jit
def project_ces(physics, p, request, state, flows):
    """Move the CES battery, then regulation, then spinning reserve into their headroom.

    Both reserves must be deliverable from the energy that the nominated power leaves::

        r_g <= min(P/2, P - b, P + b, 2 up, 2 down)
        r_s <= min(P/2, P - b - r_g, (up - r_g / 2) / max(1 h, dt))
    """
    world, table = physics.world, physics.table
    dt = world[W.dt_h]
    rating = table[p, P.battery_kw]
    capacity = state[p, S.capacity_kwh]
    energy = stored_kwh(state, p, physics.wear.shape[1])
    wish = request[p * N_ACTION + A.battery_kw]
    low, high = battery_range(table, p, capacity, energy, dt)
    b = clip(wish, low, high)
    flows[p, F.battery_kw] = b
    flows[p, F.projected_battery_kw] = abs(wish - b)
    if world[W.markets] == 0.0:
        return
    nominal = energy_after(table, p, energy, b, dt)
    up = (nominal - table[p, P.soc_min] * capacity) * table[p, P.eta_discharge]
    down = (table[p, P.soc_max] * capacity - nominal) / table[p, P.eta_charge]
    limit = min(0.5 * rating, rating - b, rating + b, 2.0 * up, 2.0 * down)
    wish = request[p * N_ACTION + A.regulation_kw]
    r_g = clip(wish, 0.0, limit if limit > 0.0 else 0.0)
    flows[p, F.regulation_kw] = r_g
    flows[p, F.projected_regulation_kw] = abs(wish - r_g)
    hold = dt if dt > 1.0 else 1.0
    limit = min(0.5 * rating, rating - b - r_g, (up - 0.5 * r_g) / hold)
    wish = request[p * N_ACTION + A.spinning_kw]
    r_s = clip(wish, 0.0, limit if limit > 0.0 else 0.0)
    flows[p, F.spinning_kw] = r_s
    flows[p, F.projected_spinning_kw] = abs(wish - r_s)


# --- pool ---------------------------------------------------------------------------------------


@jit
def serve_pro_rata(flows, column, share):
    """Scale one side of the pool."""
    for p in range(flows.shape[0]):
        flows[p, column] = share * flows[p, column]


@jit
def best_level(flows, column, sign):
    """Return the best quote not yet served (as sign * quote) and the power that carries it."""
    best = np.inf
    level = 0.0
    for p in range(flows.shape[0]):
        if flows[p, column] <= 0.0:
            continue
        quote = sign * flows[p, F.quote_per_kwh]
        if quote < best:
            best = quote
            level = 0.0
        if quote == best:
            level = level + flows[p, column]
    return best, level


@jit
def serve_by_quote(flows, column, sign, quantity_kw):
    """Serve one side in order of sign * quote until quantity_kw is used up; ties pro rata.

    What is served stands there as a negative number until all is done.
    """
    left = quantity_kw
    while left > 1e-12 * quantity_kw:
        best, level = best_level(flows, column, sign)
        if level == 0.0:
            break
        share = left / level if level > left else 1.0
        for p in range(flows.shape[0]):
            if flows[p, column] > 0.0 and sign * flows[p, F.quote_per_kwh] == best:
                flows[p, column] = -share * flows[p, column]
        left = left - share * level
    for p in range(flows.shape[0]):
        flows[p, column] = -flows[p, column] if flows[p, column] < 0.0 else 0.0


@jit
def clear_pool(world, has_ces, flows):
    """Turn nominations into firm flows: what is sent arrives less the loss, the long side is cut.

    Returns supply (kW arriving) and demand (kW) as nominated, for the supply-demand-ratio price.
    """
    participants = flows.shape[0]
    members = participants - has_ces
    ces = flows[members, F.nominated_kw] if has_ces > 0 else 0.0
    sent = 0.0
    demand = 0.0
    for p in range(participants):
        x = flows[p, F.nominated_kw]
        if (
            world[W.pool_members] == 0.0
            and p < members
            and ((x < 0.0 and ces <= 0.0) or (x > 0.0 and ces >= 0.0))
        ):
            x = 0.0  # without peer-to-peer trade the CES is the only counterpart
        flows[p, F.sent_kw] = -x if x < 0.0 else 0.0
        flows[p, F.received_kw] = x if x > 0.0 else 0.0
        sent = sent + flows[p, F.sent_kw]
        demand = demand + flows[p, F.received_kw]
    supply = (1.0 - world[W.pool_loss]) * sent
    if supply > demand:
        if world[W.price_rule] == AUCTION:
            serve_by_quote(flows, F.sent_kw, 1.0, demand / (1.0 - world[W.pool_loss]))
        else:
            serve_pro_rata(flows, F.sent_kw, demand / supply)
    elif demand > supply:
        if world[W.price_rule] == AUCTION:
            serve_by_quote(flows, F.received_kw, -1.0, supply)
        else:
            serve_pro_rata(flows, F.received_kw, supply / demand)
    for p in range(participants):
        flows[p, F.pool_cut_kw] = abs(
            flows[p, F.nominated_kw] - flows[p, F.received_kw] + flows[p, F.sent_kw]
        )
    return supply, demand


@jit
def auction_price(flows, buy, sell):
    """Return the mean of the dearest matched ask and the cheapest matched bid, both in [sell, buy].

    Service went by the quotes as given, so that the pool is firm before prices are revealed.
    """
    ask = -np.inf
    bid = np.inf
    for p in range(flows.shape[0]):
        quote = flows[p, F.quote_per_kwh]
        if flows[p, F.sent_kw] > 0.0 and quote > ask:
            ask = quote
        if flows[p, F.received_kw] > 0.0 and quote < bid:
            bid = quote
    return 0.5 * (clip(ask, sell, buy) + clip(bid, sell, buy))


@jit
def pay_posted(world, has_ces, buy, flows, ledger):
    """Settle the pool at posted shares of the purchase tariff per kind of pair.

    Receiver j takes r_j * s_i / sum(s) from sender i.
    """
    participants = flows.shape[0]
    members = participants - has_ces
    dt = world[W.dt_h]
    sent = 0.0
    for p in range(participants):
        sent = sent + flows[p, F.sent_kw]
    for i in range(participants):
        if flows[i, F.sent_kw] == 0.0:
            continue
        for j in range(participants):
            if flows[j, F.received_kw] == 0.0:
                continue
            if has_ces > 0 and i == members:
                factor = world[W.posted_ces_to_member]
            elif has_ces > 0 and j == members:
                factor = world[W.posted_member_to_ces]
            else:
                factor = world[W.posted_member_to_member]
            kwh = flows[j, F.received_kw] * flows[i, F.sent_kw] / sent * dt
            ledger[j, L.pool_payment] = ledger[j, L.pool_payment] + factor * buy * kwh
            ledger[i, L.pool_payment] = ledger[i, L.pool_payment] - factor * buy * kwh


@jit
def pay_pool(world, has_ces, buy, sell, supply, demand, flows, ledger):
    """Pay for pool energy per kWh delivered, so that senders bear the loss; sums to zero."""
    rule = world[W.price_rule]
    if supply == 0.0 or demand == 0.0 or rule == NO_PRICE:
        return
    if rule == POSTED:
        pay_posted(world, has_ces, buy, flows, ledger)
        return
    if rule == SDR:
        price = buy - (buy - sell) * (supply / demand if supply < demand else 1.0)
    elif rule == AUCTION:
        price = auction_price(flows, buy, sell)
    else:
        price = 0.5 * (buy + sell)
    for p in range(flows.shape[0]):
        kwh = (flows[p, F.received_kw] - (1.0 - world[W.pool_loss]) * flows[p, F.sent_kw]) * world[
            W.dt_h
        ]
        ledger[p, L.pool_payment] = price * kwh


# --- reveal -------------------------------------------------------------------------------------


@jit
def close_bus(p, residual_kw, import_kw, export_kw, renewable_kw, curtail_first, flows):
    """Close an electric balance: import, then shed; or export, curtail and spill.

    residual_kw > 0 lacks power. Where exporting costs money, renewables are curtailed first.
    """
    if residual_kw >= 0.0:
        flows[p, F.import_kw] = residual_kw if residual_kw < import_kw else import_kw
        flows[p, F.unserved_kw] = residual_kw - flows[p, F.import_kw]
        return
    surplus = -residual_kw
    if curtail_first:
        flows[p, F.curtailed_kw] = surplus if surplus < renewable_kw else renewable_kw
        surplus = surplus - flows[p, F.curtailed_kw]
        flows[p, F.export_kw] = surplus if surplus < export_kw else export_kw
        flows[p, F.spill_kw] = surplus - flows[p, F.export_kw]
        return
    flows[p, F.export_kw] = surplus if surplus < export_kw else export_kw
    surplus = surplus - flows[p, F.export_kw]
    flows[p, F.curtailed_kw] = surplus if surplus < renewable_kw else renewable_kw
    flows[p, F.spill_kw] = surplus - flows[p, F.curtailed_kw]


@jit
def reveal_member(world, table, members, p, now, flows):
    """Serve heat by the boiler and close the member's balance on the grid."""
    shared = 4 * members
    heat = now[3 * members + p] - table[p, P.chp_heat_per_kwh] * flows[p, F.chp_kw]
    boiler = clip(heat, 0.0, table[p, P.boiler_kw])
    flows[p, F.boiler_kw] = boiler
    flows[p, F.unserved_heat_kw] = heat - boiler if heat > boiler else 0.0
    gas = table[p, P.chp_gas_m3_per_kwh] * flows[p, F.chp_kw]
    gas = gas + table[p, P.boiler_gas_m3_per_kwh] * boiler
    flows[p, F.gas_m3] = gas * world[W.dt_h]
    renewable = now[p] + now[members + p]
    firm = flows[p, F.battery_kw] + flows[p, F.chp_kw] + flows[p, F.virtual_kw]
    firm = firm + flows[p, F.received_kw] - flows[p, F.sent_kw]
    residual = now[2 * members + p] + flows[p, F.flex_kw] - firm - renewable
    up = now[shared + X.grid_up]
    export = up * table[p, P.export_kw] * world[W.member_export]
    curtail_first = now[shared + X.price_sell] < 0.0
    close_bus(p, residual, up * table[p, P.import_kw], export, renewable, curtail_first, flows)


@jit
def reveal_ces(world, table, members, now, flows):
    """Close the CES bus: duty of pool and virtual batteries at the converter, less the battery."""
    p = members
    eta = world[W.eta_converter]
    through = eta * (1.0 - world[W.pool_loss])
    duty = flows[p, F.sent_kw] / eta - eta * flows[p, F.received_kw]
    for m in range(members):
        virtual = flows[m, F.virtual_kw]
        duty = duty + (virtual / through if virtual > 0.0 else through * virtual)
    flows[p, F.duty_kw] = duty
    up = now[4 * members + X.grid_up]
    if now[4 * members + X.spin_call] > 0.0 and up > 0.0:
        flows[p, F.called_kw] = flows[p, F.spinning_kw]
    residual = duty - flows[p, F.battery_kw] - flows[p, F.called_kw]
    close_bus(
        p, residual, up * table[p, P.import_kw], up * table[p, P.export_kw], 0.0, False, flows
    )


# --- money --------------------------------------------------------------------------------------


@jit
def charge_everyone(world, p, now, shared, flows, ledger):
    """Book what members and CES have in common: pool fee, shedding, spill, carbon."""
    dt = world[W.dt_h]
    received = world[W.pool_fee_per_kwh] * flows[p, F.received_kw] * dt
    ledger[p, L.pool_fee] = ledger[p, L.pool_fee] + received
    ledger[p, L.unserved] = world[W.unserved_per_kwh] * flows[p, F.unserved_kw] * dt
    ledger[p, L.spill] = world[W.spill_per_kwh] * flows[p, F.spill_kw] * dt
    kg = now[shared + X.carbon_kg_per_kwh] * flows[p, F.import_kw] * dt
    kg = kg + world[W.gas_kg_per_m3] * flows[p, F.gas_m3]
    ledger[p, L.carbon] = world[W.carbon_per_kg] * kg


@jit
def charge_member(world, table, p, now, shared, state, flows, ledger):
    """Book a member's own costs; update its import peak."""
    dt = world[W.dt_h]
    ledger[p, L.grid_import] = now[shared + X.price_buy] * flows[p, F.import_kw] * dt
    ledger[p, L.grid_export] = -now[shared + X.price_sell] * flows[p, F.export_kw] * dt
    ledger[p, L.gas] = world[W.gas_per_m3] * flows[p, F.gas_m3]
    ledger[p, L.chp_om] = table[p, P.chp_om_per_kwh] * flows[p, F.chp_kw] * dt
    if flows[p, F.chp_kw] > 0.0 and state[p, S.chp_kw] == 0.0:
        ledger[p, L.chp_start] = table[p, P.chp_start_cost]
    ledger[p, L.flex] = table[p, P.flex_cost_per_kwh] * abs(flows[p, F.flex_kw]) * dt
    ledger[p, L.unserved_heat] = world[W.unserved_heat_per_kwh] * flows[p, F.unserved_heat_kw] * dt
    rise = flows[p, F.import_kw] - state[p, S.peak_kw]
    if rise > 0.0:
        ledger[p, L.demand_charge] = world[W.demand_charge_per_kw] * rise
        state[p, S.peak_kw] = flows[p, F.import_kw]


@jit
def charge_virtual(world, ces, p, flows, ledger):
    """Book a member's virtual power: service fee to the CES, network fee to whoever receives."""
    dt = world[W.dt_h]
    virtual = flows[p, F.virtual_kw]
    service = world[W.service_fee_per_kwh] * abs(virtual) * dt
    ledger[p, L.service_fee] = service
    ledger[ces, L.service_fee] = ledger[ces, L.service_fee] - service
    fee = world[W.pool_fee_per_kwh] * dt
    if virtual > 0.0:
        ledger[p, L.pool_fee] = ledger[p, L.pool_fee] + fee * virtual
    else:
        arrived = -(1.0 - world[W.pool_loss]) * virtual
        ledger[ces, L.pool_fee] = ledger[ces, L.pool_fee] + fee * arrived


@jit
def charge_ces(world, p, now, shared, flows, ledger):
    """Book the CES's markets: energy, and reserve while the grid is up."""
    dt = world[W.dt_h]
    bought = now[shared + X.ces_buy] * flows[p, F.import_kw]
    sold = now[shared + X.ces_sell] * flows[p, F.export_kw]
    ledger[p, L.market] = (bought - sold) * dt
    if now[shared + X.grid_up] > 0.0:
        regulation = now[shared + X.rho_regulation] * flows[p, F.regulation_kw]
        spinning = now[shared + X.rho_spinning] * flows[p, F.spinning_kw]
        ledger[p, L.reserve_revenue] = -(regulation + spinning) * dt


@jit
def charge_imbalance(world, now, shared, nominated_kw, flows, ledger):
    """Settle the community's deviation from its nomination, shared pro rata to |exchange|."""
    if now[shared + X.grid_up] == 0.0:
        return
    participants = flows.shape[0]
    net = 0.0
    exchanged = 0.0
    for p in range(participants):
        net = net + flows[p, F.import_kw] - flows[p, F.export_kw]
        exchanged = exchanged + abs(flows[p, F.import_kw] - flows[p, F.export_kw])
    d = net - nominated_kw
    cost = (
        now[shared + X.short_premium] * d if d > 0.0 else -now[shared + X.long_premium] * d
    ) * world[W.dt_h]
    for p in range(participants):
        if exchanged > 0.0:
            share = abs(flows[p, F.import_kw] - flows[p, F.export_kw]) / exchanged
        else:
            share = 1.0 / participants
        ledger[p, L.imbalance] = share * cost


# --- next state ---------------------------------------------------------------------------------


@jit
def store(physics, p, power_kw, grid_up, state, flows, ledger):
    """Move the battery's energy and book its wear, regulation included."""
    world, table, wear = physics.world, physics.table, physics.wear
    taken, cost = move_energy(table, wear, state, p, power_kw, world[W.dt_h])
    if grid_up > 0.0:
        offered = flows[p, F.regulation_kw] * world[W.dt_h] / table[p, P.eta_discharge]
        cost = cost + wear[p, 0] * REGULATION_WEAR * offered
    flows[p, F.discharged_kwh] = taken
    ledger[p, L.wear] = cost
    state[p, S.wear_today] = state[p, S.wear_today] + cost


@jit
def advance_member(world, table, ces, p, state, flows):
    """Move a member's CHP, backlog and virtual energy to the next step."""
    dt = world[W.dt_h]
    state[p, S.chp_kw] = flows[p, F.chp_kw]
    state[p, S.backlog_kwh] = state[p, S.backlog_kwh] + flows[p, F.flex_kw] * dt
    energy = energy_after(table, ces, state[p, S.virtual_kwh], flows[p, F.virtual_kw], dt)
    state[p, S.virtual_kwh] = energy if energy > 0.0 else 0.0


@jit
def settle_virtual(members, day, t, exogenous, state, ledger):
    """Let the CES buy the virtual energy left at the day's end at the day's lowest sale price."""
    column = 4 * members + X.price_sell
    lowest = exogenous[t, column]
    for h in range(t - day + 1, t):
        if exogenous[h, column] < lowest:
            lowest = exogenous[h, column]
    if lowest < 0.0:
        lowest = 0.0
    for p in range(members):
        value = lowest * state[p, S.virtual_kwh]
        ledger[p, L.virtual_settlement] = -value
        ledger[members, L.virtual_settlement] = ledger[members, L.virtual_settlement] + value
        state[p, S.virtual_kwh] = 0.0


@jit
def value_energy_left(table, count, state, ledger):
    """Book energy left at the episode's end against the energy at reset."""
    for p in range(table.shape[0]):
        at_reset = table[p, P.soc_initial] * table[p, P.capacity_kwh]
        missing = at_reset - stored_kwh(state, p, count)
        if missing > 0.0:
            ledger[p, L.terminal] = table[p, P.terminal_buy_per_kwh] * missing
        else:
            ledger[p, L.terminal] = table[p, P.terminal_sell_per_kwh] * missing


# --- one hour -----------------------------------------------------------------------------------


@jit
def nominate_hourly(physics, p, request, state, flows):
    """Take participant p's virtual power and pool nomination for this hour."""
    world, table = physics.world, physics.table
    members = table.shape[0] - int(world[W.has_ces])
    flows[p, F.quote_per_kwh] = take_quote(world, p, request, flows)
    if p < members:
        ces = table.shape[0] - 1
        project_virtual(table, ces, p, request, 0.0, world[W.dt_h], state, flows)
    project_pool(world, table, p, p == members, request, flows)


@jit
def decide_hour(physics, hour, request, state, flows):
    """Project every wish and clear the pool; return supply and demand of the pool."""
    world, table = physics.world, physics.table
    participants = table.shape[0]
    has_ces = int(world[W.has_ces])
    members = participants - has_ces
    scheduled = world[W.day_ahead_pool] > 0.0
    if has_ces > 0:
        project_ces(physics, members, request, state, flows)
    for p in range(members):
        project_member(physics, p, request, hour, state, flows)
    for p in range(participants):
        if scheduled:
            flows[p, F.quote_per_kwh] = state[p, S.quote_per_kwh]
            flows[p, F.nominated_kw] = state[p, N_STATE + physics.wear.shape[1] + hour]
        else:
            nominate_hourly(physics, p, request, state, flows)
    supply, demand = clear_pool(world, has_ces, flows)
    if scheduled:
        for p in range(members):
            firm = flows[p, F.received_kw] - flows[p, F.sent_kw]
            project_virtual(table, participants - 1, p, request, firm, world[W.dt_h], state, flows)
    return supply, demand


@jit
def book_hour(physics, now, state, flows, ledger):
    """Reveal hour t to every participant, book its own costs and move storage to the next step."""
    world, table = physics.world, physics.table
    participants = table.shape[0]
    has_ces = int(world[W.has_ces])
    members = participants - has_ces
    ces = members if has_ces > 0 else 0
    shared = 4 * members
    grid_up = now[shared + X.grid_up]
    for p in range(members):
        reveal_member(world, table, members, p, now, flows)
        charge_everyone(world, p, now, shared, flows, ledger)
        charge_member(world, table, p, now, shared, state, flows, ledger)
        if world[W.rental] > 0.0:
            charge_virtual(world, ces, p, flows, ledger)
        store(physics, p, flows[p, F.battery_kw], grid_up, state, flows, ledger)
        advance_member(world, table, ces, p, state, flows)
    if has_ces > 0:
        reveal_ces(world, table, members, now, flows)
        charge_everyone(world, ces, now, shared, flows, ledger)
        charge_ces(world, ces, now, shared, flows, ledger)
        realised = flows[ces, F.battery_kw] + flows[ces, F.called_kw]
        store(physics, ces, realised, grid_up, state, flows, ledger)


@jit
def real_cost(ledger):
    """Return the sum of all real costs of one hour (currency)."""
    cost = 0.0
    for p in range(ledger.shape[0]):
        own = 0.0  # one sum per participant: they do not wait for one another
        for k in range(N_REAL):
            own = own + ledger[p, k]
        cost = cost + own
    return cost


@jit
def step_hour(physics, t, exogenous, request, before, after, flows, ledger):
    """Simulate step t of one community; return its real cost (currency).

    Args:
        physics: the system's constants.
        t: step of the episode, 0-based.
        exogenous: (steps, 4 * members + len(X)) values of the episode; only rows up to t matter
            (column `nomination_base_kw` is a forecast and read for the day that begins).
        request: (request_size,) physical wishes: (participants, len(A)), then, day-ahead, the pool
            schedule (participants, steps_per_day) and the nomination offsets (steps_per_day,), kW.
        before: (state_size,) state before the step; not changed.
        after: (state_size,) receives the state after the step.
        flows: (participants, len(F)) receives what happened; must come zeroed.
        ledger: (participants, len(L)) receives the money; must come zeroed.
    """
    for i in range(after.shape[0]):  # an assignment of slices would make a copy first
        after[i] = before[i]
    return move_hour(physics, t, exogenous, request, after, flows, ledger)


@jit
def move_hour(physics, t, exogenous, request, moving, flows, ledger):
    """Simulate step t as `step_hour` does, with the state changed in place."""
    world = physics.world
    participants = physics.table.shape[0]
    has_ces = int(world[W.has_ces])
    members = participants - has_ces
    day = int(world[W.steps_per_day])
    hour = t % day
    block = N_STATE + physics.wear.shape[1] + (day if world[W.day_ahead_pool] > 0.0 else 0)
    state = moving[: participants * block].reshape(participants, block)
    nomination = moving[participants * block :]
    now = exogenous[t]
    shared = 4 * members
    if hour == 0:
        begin_day(physics, t, request, state, flows, ledger)
        if world[W.day_ahead_grid] > 0.0:
            base = exogenous[t : t + day, shared + X.nomination_base_kw]
            nominate(world, base, request, nomination, flows)
    supply, demand = decide_hour(physics, hour, request, state, flows)
    book_hour(physics, now, state, flows, ledger)
    buy, sell = now[shared + X.price_buy], now[shared + X.price_sell]
    pay_pool(world, has_ces, buy, sell, supply, demand, flows, ledger)
    if world[W.day_ahead_grid] > 0.0:
        charge_imbalance(world, now, shared, nomination[hour], flows, ledger)
    if hour == day - 1 and has_ces > 0 and world[W.rental] > 0.0:
        settle_virtual(members, day, t, exogenous, state, ledger)
    if t + 1 == int(world[W.episode_steps]):
        value_energy_left(physics.table, physics.wear.shape[1], state, ledger)
    return real_cost(ledger)


@jit
def reset_state(physics, after):
    """Write the state at reset: energy in the cheapest segments, all else idle."""
    world, table = physics.world, physics.table
    participants = table.shape[0]
    count = physics.wear.shape[1]
    block = N_STATE + count + (int(world[W.steps_per_day]) if world[W.day_ahead_pool] > 0.0 else 0)
    after[:] = 0.0
    state = after[: participants * block].reshape(participants, block)
    for p in range(participants):
        state[p, S.capacity_kwh] = table[p, P.capacity_kwh]
        left = table[p, P.soc_initial] * table[p, P.capacity_kwh]
        cap = table[p, P.capacity_kwh] / count
        for j in range(N_STATE, N_STATE + count):
            state[p, j] = left if left < cap else cap
            left = left - state[p, j]
