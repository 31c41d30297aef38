"""The last hour in words: a table with a row per participant.

Source: our choice.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from mmg_env.layout import REAL_COSTS, F, S
from mmg_env.trajectory import Trajectory

_TABLE: Final[tuple[tuple[str, tuple[tuple[F, float], ...]], ...]] = (
    ("chp", ((F.chp_kw, 1.0),)),
    ("battery", ((F.battery_kw, 1.0), (F.called_kw, 1.0))),
    ("virtual", ((F.virtual_kw, 1.0),)),
    ("pool", ((F.received_kw, 1.0), (F.sent_kw, -1.0))),
    ("grid", ((F.import_kw, 1.0), (F.export_kw, -1.0))),
    ("curtailed", ((F.curtailed_kw, 1.0),)),
    ("unserved", ((F.unserved_kw, 1.0), (F.unserved_heat_kw, 1.0))),
)


def describe_step(trajectory: Trajectory, played: int | None = None) -> str:
    """Return the last hour as a table of text: a row per participant, powers in kW.

    Args:
        trajectory: what happened.
        played: steps that were played; by default all that the trajectory has.
    """
    system = trajectory.system
    t = (len(trajectory.flows) if played is None else played) - 1
    if t < 0:
        return f"{system.name}: no step has been played"
    money = trajectory.ledger[t, :, : len(REAL_COSTS)].sum(axis=1)
    spent = trajectory.ledger[: t + 1, :, : len(REAL_COSTS)].sum()
    moment = trajectory.episode.start + np.timedelta64(round(t * system.dt_h * 60.0), "m")
    price = f"buy {trajectory.episode.price_buy[t]:.3f} sell {trajectory.episode.price_sell[t]:.3f}"
    head = f"{system.name}  step {t}  {np.datetime_as_string(moment, unit='m').replace('T', ' ')}"
    currency = system.config.currency
    cost = f"cost {money.sum():.2f} {currency}, since reset {spent:.2f} {currency}"
    columns = _columns(trajectory, t)
    titles = ["kW", *columns, f"cost {currency}"]
    rows = [
        [name, *(cells[p] for cells in columns.values()), f"{money[p]:.2f}"]
        for p, name in enumerate(system.participants)
    ]
    return "\n".join([f"{head}  {price} {currency}/kWh  {cost}", *_aligned([titles, *rows])])


def _columns(trajectory: Trajectory, t: int) -> dict[str, list[str]]:
    """Return the cells of each column, one per participant; a column of dots is left out."""
    system, episode = trajectory.system, trajectory.episode
    count, members = len(system.participants), len(system.members)
    padding = [np.nan] * (count - members)
    flex = trajectory.flows[t, :members, F.flex_kw]
    numbers = {
        "load": [*(episode.load_kw[t] + flex), *padding],
        "wind+pv": [*(episode.wind_kw[t] + episode.pv_kw[t]), *padding],
    }
    for name, terms in _TABLE:
        signed = [sign * trajectory.flows[t, :, column] for column, sign in terms]
        numbers[name] = list(np.sum(signed, axis=0))
    capacity = trajectory.state(S.capacity_kwh)[t + 1]
    energy = trajectory.energy_kwh[t + 1]
    stored = np.divide(100.0 * energy, capacity, out=np.full(count, np.nan), where=capacity > 0.0)
    numbers["stored %"] = list(stored)
    cells = {
        name: [f"{x:.0f}" if np.isfinite(x) and abs(x) >= 0.5 else "." for x in values]
        for name, values in numbers.items()
    }
    return {name: texts for name, texts in cells.items() if set(texts) != {"."}}


def _aligned(rows: list[list[str]]) -> Iterator[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join(cells)
