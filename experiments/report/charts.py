"""The report's charts as inline SVG: text stays text, nothing is loaded from anywhere."""

import io
import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from experiments.report.leaderboard import Board, Row
from mmg_env.layout import REAL_COSTS
from mmg_env.render import COLORS, INK, draw_day, style, thousands
from mmg_env.trajectory import Trajectory

_SMALL: Final = 0.005  # share of the tallest bar below which a term is not worth a colour
_TERM_COLORS: Final = {
    "grid_import": "#9aa5b1",
    "grid_export": "#5b6770",
    "gas": "#e69f00",
    "chp_om": "#f3cf80",
    "chp_start": "#8c5a00",
    "wear": "#009e73",
    "flex": "#b8a200",
    "pool_fee": "#c9b8a8",
    "unserved": "#d55e00",
    "unserved_heat": "#a33b00",
    "spill": "#7a3b69",
    "demand_charge": "#cc79a7",
    "carbon": "#3d3d3d",
    "imbalance": "#f0d442",
    "market": "#0072b2",
    "reserve_revenue": "#56b4e9",
    "terminal": "#7fcbb4",
    "other": "#e3e7eb",
}


def savings_chart(board: Board, currency: str) -> str:
    """Draw what each policy saves against score zero, with its interval."""
    rows = [row for row in board.rows if np.isfinite(row.saving.value)][::-1]
    figure, axis = _axes(7.4, 0.36 * len(rows) + 0.8)
    for height, row in enumerate(rows):
        color = _color(row)
        saving = row.saving
        if np.isfinite(saving.low):
            axis.plot([saving.low, saving.high], [height, height], color=color, linewidth=2.5)
        axis.plot([saving.value], [height], "o", color=color, markersize=6)
    axis.axvline(0.0, color=INK, linewidth=0.8)
    _name_rows(axis, rows)
    axis.xaxis.set_major_formatter(FuncFormatter(thousands))
    axis.set_xlabel(f"saving against {board.zero}, {currency} per episode")
    return svg(figure, "Saving of each policy with its 95 % interval")


def breakdown_chart(board: Board, currency: str) -> str:
    """Draw mean costs by ledger term: what is paid right of zero, what is earned left."""
    rows = [row for row in board.rows if row.means]
    tallest = max((_gross(row) for row in rows), default=0.0)
    shown = [
        term for term in REAL_COSTS if any(abs(row.means[term]) > _SMALL * tallest for row in rows)
    ]
    figure, axis = _axes(8.6, 1.2 + 0.36 * max(len(rows), 8))
    positions = np.arange(len(rows))[::-1]
    above, below = np.zeros(len(rows)), np.zeros(len(rows))
    for term in [*shown, "other"]:
        values = np.array([_amount(row, term, shown) for row in rows])
        if not np.any(values):
            continue
        base = np.where(values > 0.0, above, below)
        axis.barh(positions, values, 0.62, left=base, color=_TERM_COLORS[term], label=_words(term))
        above, below = above + np.maximum(values, 0.0), below + np.minimum(values, 0.0)
    axis.plot(above + below, positions, "D", color="white", markeredgecolor=INK, label="sum")
    axis.axvline(0.0, color=INK, linewidth=0.8)
    axis.set_yticks(positions, [row.policy for row in rows])
    axis.grid(visible=False, axis="y")
    axis.xaxis.set_major_formatter(FuncFormatter(thousands))
    axis.set_xlabel(f"{currency} per episode")
    axis.legend(
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        frameon=False,
        labelcolor=INK,
    )
    return svg(figure, "Mean cost of each policy by ledger term")


def distribution_chart(board: Board, currency: str) -> str:
    """Draw every episode's cost by policy, over a box of the quartiles."""
    rows = [row for row in board.rows if row.policy in board.costs][::-1]
    figure, axis = _axes(7.4, 0.46 * len(rows) + 0.8)
    for height, row in enumerate(rows):
        costs, color = board.costs[row.policy], _color(row)
        low, middle, high = np.percentile(costs, [25, 50, 75])
        axis.barh([height], [high - low], 0.52, left=low, color=color, alpha=0.22)
        axis.plot([middle, middle], [height - 0.26, height + 0.26], color=color, linewidth=2.0)
        # A fixed zigzag keeps equal costs apart without drawing random numbers.
        lift = 0.12 * ((np.arange(len(costs)) % 3) - 1)
        axis.plot(costs, height + lift, "o", color=color, markersize=4, alpha=0.75)
    _name_rows(axis, rows)
    axis.xaxis.set_major_formatter(FuncFormatter(thousands))
    axis.set_xlabel(f"cost of an episode, {currency}")
    return svg(figure, "Cost of every episode by policy")


def day_charts(trajectories: Sequence[Trajectory], day: int) -> list[str]:
    """Draw the same day under several policies, on the same scales."""
    figures = [draw_day(trajectory, day, title="") for trajectory in trajectories]
    for panels in zip(*(figure.axes for figure in figures), strict=True):
        limits = np.array([panel.get_ylim() for panel in panels])
        for panel in panels:
            panel.set_ylim(limits[:, 0].min(), limits[:, 1].max())
    return [svg(figure, "Power balance, stored energy, prices and cost") for figure in figures]


def telling_day(trajectories: Sequence[Trajectory]) -> int:
    """Return the day on which the costs of the policies differ most."""
    per_day = trajectories[0].system.steps_per_day
    costs = np.array([t.step_costs.reshape(-1, per_day).sum(axis=1) for t in trajectories])
    return int(np.argmax(costs.std(axis=0)))


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure with one pair of axes; both take the style as they are made."""
    with style():
        figure = Figure(figsize=(width, height))
        figure.set_layout_engine("constrained")
        return figure, figure.subplots()


def _name_rows(axis: Axes, rows: Sequence[Row]) -> None:
    axis.set_yticks(range(len(rows)), [row.policy for row in rows])
    axis.set_ylim(-0.6, len(rows) - 0.4)
    axis.grid(visible=False, axis="y")


def _color(row: Row) -> str:
    return COLORS["batteries"] if row.bound else COLORS["community storage"]


def _gross(row: Row) -> float:
    return sum(abs(row.means[term]) for term in REAL_COSTS)


def _amount(row: Row, term: str, shown: Sequence[str]) -> float:
    if term != "other":
        return row.means[term]
    return sum(row.means[name] for name in REAL_COSTS if name not in shown)


def _words(term: str) -> str:
    return term.replace("_", " ")


def svg(figure: Figure, label: str) -> str:
    """Return a figure as an SVG element that belongs into a page: no prologue, no metadata."""
    stream = io.StringIO()
    with style():
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    # In a page the parser knows the name spaces, and the style sheet the size.
    text = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", text)
    width = figure.get_figwidth()
    size = f'style="max-width:{width * 96:.0f}px" role="img" aria-label="{label}"'
    return re.sub(r'<svg (?:(?:width|height)="[^"]*"\s*)*', f"<svg {size} ", text, count=1)
