"""What is believed about the hours ahead: a martingale of forecasts, compiled by numba.

The error of the forecast for hour h issued at t is the sum of innovations not yet revealed::

    e_h           = sum_{k <= h} phi ** (h - k) * z_k
    forecast(t,h) = center_h + scale_h * phi ** (h - t + 1) * e_{t-1}

where `center` is what was believed before the episode began. Two consecutive issues differ by
phi ** (h - t) * z_t only, so no issue says anything about innovations still to come. Forecasts
are clipped to the physical range and made consistent in the same way as the truth.

Source: our choice (a martingale model of forecast evolution).
"""

import numpy as np

from mmg_env.compilation import jit, jit_with_arrays
from mmg_env.kernel import N_SHARED
from mmg_env.layout import W, X


@jit
def make_consistent(world, low, high, row):
    """Clip one row of exogenous values in place to its physical range and order its prices.

    Retail purchase >= max(0, sale); no money pump between retail and the CES's market, in the
    order of docs/model.md section 5; imbalance premiums >= 0.
    """
    shared = row.shape[0] - N_SHARED
    for x in range(row.shape[0]):
        if row[x] < low[x]:
            row[x] = low[x]
        elif row[x] > high[x]:
            row[x] = high[x]
    buy = row[shared + X.price_buy]
    sell = row[shared + X.price_sell]
    if buy < sell:
        row[shared + X.price_sell] = buy
        sell = buy
    if world[W.has_ces] > 0.0:
        order_wholesale(world, buy, sell, shared, row)


@jit
def order_wholesale(world, buy, sell, shared, row):
    """Clip the CES's market prices in place so that no energy can be pumped for money."""
    eta = world[W.eta_converter]
    through = 1.0 - world[W.pool_loss]
    fee = world[W.pool_fee_per_kwh]
    cap = (buy / through + fee) / eta
    if row[shared + X.ces_sell] > cap:
        row[shared + X.ces_sell] = cap
    floor = eta * through * (sell - fee)
    if row[shared + X.ces_buy] < floor:
        row[shared + X.ces_buy] = floor
    if row[shared + X.ces_buy] < row[shared + X.ces_sell]:
        row[shared + X.ces_buy] = row[shared + X.ces_sell]


@jit
def make_rows_consistent(world, low, high, rows):
    """Make every row of exogenous values consistent in place."""
    for t in range(rows.shape[0]):
        make_consistent(world, low, high, rows[t])


@jit
def net_load(members, row):
    """Return the community's load less its wind and PV (kW)."""
    net = 0.0
    for m in range(members):
        net = net + (row[2 * members + m] - row[m] - row[members + m])
    return net


@jit_with_arrays
def forecast_into(world, t, center, scale, path, phi, errors, values, low, high, out):
    """Write the forecast issued at t for hours t, t+1, ... into out.

    Args:
        world: the system's numbers.
        t: issue, 0-based; hour t itself is not yet revealed.
        center: (rows, columns) belief before the episode.
        scale: (rows, columns) size of one unit of error; 0 where a column is known.
        path: (columns,) error path of each column, -1 where known.
        phi: (paths,) persistence per step.
        errors: (steps, paths) error paths; only row t - 1 is read.
        values: (steps, columns) truth; only `grid_up` of hour t is read.
        low: (columns,) physical lower bounds.
        high: (columns,) physical upper bounds.
        out: (leads, columns) receives the forecast.
    """
    columns = center.shape[1]
    shared = columns - N_SHARED
    members = shared // 4
    carry = np.empty(phi.shape[0])
    for k in range(phi.shape[0]):
        carry[k] = errors[t - 1, k] if t > 0 else 0.0
    day = int(world[W.steps_per_day])
    last = t >= values.shape[0]  # the observation after the last step: nothing is known of it
    now_up = 1.0 if last else values[t, shared + X.grid_up]
    announced = 1.0 if last else values[t, shared + X.derating]
    for lead in range(out.shape[0]):
        h = t + lead
        for k in range(phi.shape[0]):
            carry[k] = phi[k] * carry[k]
        for x in range(columns):
            k = path[x]
            out[lead, x] = center[h, x] + (scale[h, x] * carry[k] if k >= 0 else 0.0)
        make_consistent(world, low, high, out[lead])
        row = out[lead]
        row[shared + X.nomination_base_kw] = net_load(members, row)
        # A derated day is announced as it begins; an outage is expected to last two steps more.
        share = announced if h // day == t // day else 1.0
        row[shared + X.derating] = share
        row[shared + X.grid_up] = 0.0 if now_up == 0.0 and lead <= 2 else share
        if lead == 0:
            row[shared + X.grid_up] = now_up
