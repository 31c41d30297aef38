"""Pictures of what happened: power balance, stored energy, prices, cost.

Sources of power stand above zero, uses below; both sides have the same sum, the losses of
pool and converter being a use::

    wind + pv + chp + discharge + import + unserved = load + charge + export + spill + losses

Only matplotlib's object interface is used, so that nothing here touches a screen or a global
figure.

Source: our choice; the palette is that of Okabe & Ito, legible to the colour-blind.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mmg_env.describe import describe_step
from mmg_env.layout import F, P, S, X
from mmg_env.system import System
from mmg_env.trajectory import Trajectory

Array = NDArray[np.float64]

INK: Final = "#22303c"
FAINT: Final = "#d9dee3"
COLORS: Final[Mapping[str, str]] = {
    "wind": "#56b4e9",
    "PV": "#f0d442",
    "CHP": "#e69f00",
    "batteries": "#009e73",
    "community storage": "#0072b2",
    "grid": "#9aa5b1",
    "unserved": "#d55e00",
    "load": "#5b6770",
    "losses": "#c9b8a8",
    "spill": "#cc79a7",
}
_STYLE: Final[Mapping[Any, Any]] = {  # any, for the keys are a literal type of 300 names
    "font.family": ["sans-serif"],
    "font.sans-serif": ["Inter", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#eceff2",
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "mmg",
}
_MANY_BATTERIES = 8  # beyond this a line each says nothing, so members share one colour
_SMALL_KW = 1e-6


class Layer(NamedTuple):
    """One band of the power balance: its name and its power, (steps,), kW, never negative."""

    label: str
    power_kw: Array


class _Span(NamedTuple):
    """Steps begin..end of a trajectory; those that were not simulated are NaN."""

    trajectory: Trajectory
    begin: int
    end: int

    def cut(self, values: Array) -> Array:
        """Return the rows of the span of a (steps, ...) array."""
        rows = values[self.begin : min(self.end, self.done)]
        missing = self.end - self.begin - len(rows)
        padding = [(0, missing)] + [(0, 0)] * (values.ndim - 1)
        return np.pad(np.asarray(rows, dtype=np.float64), padding, constant_values=np.nan)

    @property
    def done(self) -> int:
        """Steps that were simulated."""
        return len(self.trajectory.flows)

    @property
    def edges_h(self) -> Array:
        """Edges of the steps, (steps + 1,), hours since the episode's begin."""
        return np.asarray(np.arange(self.begin, self.end + 1) * self.trajectory.system.dt_h)


def style() -> AbstractContextManager[None]:
    """Return a context in which figures have the project's type, grid and colours."""
    return mpl.rc_context(dict(_STYLE))


def draw_day(trajectory: Trajectory, day: int, title: str | None = None) -> Figure:
    """Draw one day: power balance, stored energy, prices and cumulative cost.

    Args:
        trajectory: what happened; steps that it lacks stay blank.
        day: 0-based day of the episode.
        title: heading; by default the suite, split, episode and day.
    """
    per_day = trajectory.system.steps_per_day
    return draw_steps(trajectory, day * per_day, (day + 1) * per_day, title)


def draw_steps(trajectory: Trajectory, begin: int, end: int, title: str | None = None) -> Figure:
    """Draw steps begin..end - 1 of an episode like a day; several days get a wider figure."""
    span = _Span(trajectory, begin, end)
    system = trajectory.system
    days = (end - begin) / system.steps_per_day
    panels: list[tuple[float, Callable[[Axes, _Span], None]]] = [(2.6, _draw_balance)]
    if (system.column(P.capacity_kwh) > 0.0).any():
        panels.append((1.0, _draw_storage))
    panels += [(1.0, _draw_prices), (1.0, _draw_cost)]
    heights = [height for height, _ in panels]
    with style():
        figure = Figure(figsize=(min(9.0 + 1.2 * (days - 1), 18.0), 1.45 * sum(heights) + 0.6))
        FigureCanvasAgg(figure)
        figure.set_layout_engine("constrained", h_pad=0.06)
        axes = figure.subplots(len(panels), 1, sharex=True, height_ratios=heights, squeeze=False)
        for axis, (_, draw) in zip(axes[:, 0], panels, strict=True):
            draw(axis, span)
        _label_hours(axes[-1, 0], span)
        heading = _title(span) if title is None else title
        if heading:
            figure.suptitle(heading, x=0.01, ha="left", fontsize=11.0, fontweight="bold")
    return figure


def draw_pixels(trajectory: Trajectory, played: int) -> NDArray[np.uint8]:
    """Return the day so far as an image, (height, width, 3), 0..255.

    Args:
        trajectory: what happened.
        played: steps that were played; nothing later is drawn, prices included.
    """
    day = max(played - 1, 0) // trajectory.system.steps_per_day
    canvas: Any = FigureCanvasAgg(draw_day(until(trajectory, played), day))
    with style():
        canvas.draw()
    return np.asarray(canvas.buffer_rgba(), dtype=np.uint8)[:, :, :3].copy()


def until(trajectory: Trajectory, played: int) -> Trajectory:
    """Return a trajectory without the steps that were not played yet."""
    return replace(
        trajectory,
        requests=trajectory.requests[:played],
        states=trajectory.states[: played + 1],
        flows=trajectory.flows[:played],
        ledger=trajectory.ledger[:played],
        decision_ms=trajectory.decision_ms[:played],
    )


def power_balance(trajectory: Trajectory) -> tuple[list[Layer], list[Layer]]:
    """Return the community's sources and uses of power; both sides have the same sum.

    Power that members pass to one another is inside the community and shows as losses only.
    """
    system, count = trajectory.system, len(trajectory.system.members)
    wind, pv = _renewables(trajectory)
    battery = trajectory.flow(F.battery_kw) + trajectory.flow(F.called_kw)
    load = trajectory.episode.load_kw[: len(battery)] + trajectory.flow(F.flex_kw)[:, :count]
    sources = {
        "CHP": trajectory.flow(F.chp_kw),
        "wind": wind,
        "PV": pv,
        "batteries": np.maximum(battery[:, :count], 0.0),
        "community storage": np.maximum(battery[:, count:], 0.0),
        "grid": trajectory.flow(F.import_kw),
        "unserved": trajectory.flow(F.unserved_kw),
    }
    uses = {
        "load": load,
        "batteries": np.maximum(-battery[:, :count], 0.0),
        "community storage": np.maximum(-battery[:, count:], 0.0),
        "grid": trajectory.flow(F.export_kw),
        "spill": trajectory.flow(F.spill_kw),
    }
    above = [Layer(name, power.sum(axis=1)) for name, power in sources.items()]
    below = [Layer(name, power.sum(axis=1)) for name, power in uses.items()]
    if system.config.pool.enabled:
        lost = sum(x.power_kw for x in above) - sum(x.power_kw for x in below)
        below.append(Layer("losses", np.maximum(lost, 0.0)))
    return above, below


def _renewables(trajectory: Trajectory) -> tuple[Array, Array]:
    """Return used wind and PV power, (steps, members); curtailment falls on both pro rata."""
    steps, count = len(trajectory.flows), len(trajectory.system.members)
    wind, pv = trajectory.episode.wind_kw[:steps], trajectory.episode.pv_kw[:steps]
    curtailed = trajectory.flow(F.curtailed_kw)[:, :count]
    available = wind + pv
    used = 1.0 - np.divide(curtailed, available, out=np.zeros_like(wind), where=available > 0.0)
    return wind * used, pv * used


def _draw_balance(axis: Axes, span: _Span) -> None:
    above, below = power_balance(span.trajectory)
    named: dict[str, Any] = {}
    for layers, sign in ((above, 1.0), (below, -1.0)):
        base = np.zeros(span.end - span.begin)
        for layer in layers:
            power = np.nan_to_num(span.cut(layer.power_kw))
            if power.max() > _SMALL_KW:
                color = COLORS[layer.label]
                top = base + sign * power
                patch = axis.stairs(
                    top, span.edges_h, baseline=base, fill=True, color=color, linewidth=0.0
                )
                named.setdefault(layer.label, patch)
                base = top
    axis.axhline(0.0, color=INK, linewidth=0.8)
    axis.set_title("Power: sources above, uses below zero (kW)")
    axis.yaxis.set_major_formatter(thousands)
    _legend(axis, named)


def _draw_storage(axis: Axes, span: _Span) -> None:
    trajectory = span.trajectory
    capacity = trajectory.state(S.capacity_kwh)
    owners = np.flatnonzero(trajectory.system.column(P.capacity_kwh) > 0.0)
    last = min(span.end, span.done) + 1
    hours = span.edges_h[: max(last - span.begin, 0)]
    named: dict[str, Any] = {}
    for p, color, label in _owners(trajectory.system, list(owners)):
        share = trajectory.energy_kwh[span.begin : last, p] / capacity[span.begin : last, p]
        width = 2.0 if label == "community storage" else 1.2
        (line,) = axis.plot(hours, 100.0 * share, color=color, linewidth=width)
        named.setdefault(label, line)
    axis.set_ylim(0.0, 100.0)
    axis.set_title("Stored energy (% of capacity)")
    _legend(axis, named)


def _owners(system: System, owners: list[int]) -> Iterator[tuple[int, str, str]]:
    """Yield row, colour and label of each battery; many members share one colour."""
    palette = ["#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#d55e00", "#5b6770", "#b8a200"]
    for rank, p in enumerate(owners):
        if p == len(system.members):
            yield p, COLORS["community storage"], "community storage"
        elif len(owners) > _MANY_BATTERIES:
            yield p, "#a9c9bd", "members"
        else:
            yield p, palette[rank % len(palette)], system.participants[p]


def _draw_prices(axis: Axes, span: _Span) -> None:
    episode = span.trajectory.episode
    series = {
        "purchase": (episode.price_buy, "#d55e00", "-"),
        "sale": (episode.price_sell, "#0072b2", "-"),
        "storage purchase": (episode.shared(X.ces_buy), "#8a949e", "--"),
    }
    if not span.trajectory.system.has_ces or np.array_equal(
        series["purchase"][0], series["storage purchase"][0]
    ):
        del series["storage purchase"]
    named: dict[str, Any] = {}
    for label, (price, color, dash) in series.items():
        named[label] = axis.stairs(
            span.cut(price), span.edges_h, baseline=None, color=color, linestyle=dash, linewidth=1.5
        )
    known = np.concatenate([[0.0], *(span.cut(price) for price, _, _ in series.values())])
    axis.set_ylim(bottom=1.05 * min(0.0, float(np.nanmin(known))))
    axis.set_title(f"Prices ({span.trajectory.system.config.currency}/kWh)")
    _legend(axis, named)


def _draw_cost(axis: Axes, span: _Span) -> None:
    spent = np.concatenate([[0.0], np.cumsum(span.cut(span.trajectory.step_costs))])
    axis.plot(span.edges_h, spent, color=INK, linewidth=1.5)
    axis.fill_between(span.edges_h, spent, color=INK, alpha=0.08, linewidth=0.0)
    axis.axhline(0.0, color=INK, linewidth=0.8)
    known = np.flatnonzero(np.isfinite(spent))[-1]
    axis.annotate(
        thousands(spent[known]),
        (span.edges_h[known], spent[known]),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontweight="bold",
        annotation_clip=False,
    )
    axis.set_title(f"Cost since the first hour shown ({span.trajectory.system.config.currency})")
    axis.yaxis.set_major_formatter(thousands)


def thousands(value: float, _position: float | None = None) -> str:
    """Write a number for an axis, its thousands apart."""
    return f"{value:,.0f}".replace(",", "\u202f").replace("-", "\u2212")


def _legend(axis: Axes, named: Mapping[str, Any]) -> None:
    """Put the legend to the right of the axes, where it covers nothing."""
    if named:
        axis.legend(
            list(named.values()),
            list(named),
            loc="upper left",
            bbox_to_anchor=(1.03, 1.02),
            borderaxespad=0.0,
            handlelength=1.2,
            labelspacing=0.35,
        )


def _label_hours(axis: Axes, span: _Span) -> None:
    edges = span.edges_h
    axis.set_xlim(edges[0], edges[-1])
    hours = edges[-1] - edges[0]
    if hours <= 48.0:
        ticks = np.arange(edges[0], edges[-1] + 0.1, 3.0)
        axis.set_xticks(ticks, [f"{tick % 24.0:02.0f}:00" for tick in ticks])
        return
    stride = 24.0 * max(1.0, np.ceil(hours / 24.0 / 14.0))
    ticks = np.arange(edges[0], edges[-1] + 0.1, stride)
    axis.set_xticks(ticks, [_date(span.trajectory, tick) for tick in ticks])


def _date(trajectory: Trajectory, hour: float) -> str:
    moment = trajectory.episode.start + np.timedelta64(round(hour * 60.0), "m")
    return str(np.datetime_as_string(moment.astype("datetime64[D]")))


def _title(span: _Span) -> str:
    suite, split, index = span.trajectory.episode.label
    per_day = span.trajectory.system.steps_per_day
    first, last = span.begin // per_day, (span.end - 1) // per_day
    days = f"day {first + 1}" if first == last else f"days {first + 1} to {last + 1}"
    return f"{suite}, {split} episode {index}, {days}"


__all__ = [
    "COLORS",
    "INK",
    "Layer",
    "describe_step",
    "draw_day",
    "draw_pixels",
    "draw_steps",
    "power_balance",
    "style",
    "thousands",
    "until",
]
