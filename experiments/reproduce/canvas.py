"""Figures with one or more panels, in the project's style, as inline SVG.

Source: our choice.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from numpy.typing import NDArray

from experiments.report.charts import svg
from mmg_env.render import INK, style

Array = NDArray[np.float64]

__all__ = ["beside", "by_hour", "panels", "stacked", "steps", "svg", "titled"]


def panels(
    width: float, height: float, rows: int = 1, columns: int = 1, **layout: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels, row by row; all take the style as they are made.

    Args:
        width: of the figure, inches.
        height: likewise.
        rows: of panels.
        columns: of panels.
        layout: of `Figure.subplots`.
    """
    with style():
        figure = Figure(figsize=(width, height))
        figure.set_layout_engine("constrained", h_pad=0.08, w_pad=0.08)
        axes = figure.subplots(rows, columns, squeeze=False, **layout)
    return figure, list(axes.ravel())


def stacked(
    axis: Axes, places: NDArray[Any], layers: dict[str, tuple[Array, str]], upright: bool = True
) -> None:
    """Draw bars on one another, what is positive above zero and what is negative below.

    Args:
        axis: where.
        places: (bars,) where the bars stand.
        layers: (bars,) lengths and a colour, by label.
        upright: whether bars stand; else they lie.
    """
    over, under = np.zeros(len(places)), np.zeros(len(places))
    for label, (values, color) in layers.items():
        base = np.where(values > 0.0, over, under)
        if upright:
            axis.bar(places, values, 0.82, bottom=base, color=color, label=label)
        else:
            axis.barh(places, values, 0.62, left=base, color=color, label=label)
        over, under = over + np.maximum(values, 0.0), under + np.minimum(values, 0.0)
    if upright:
        axis.axhline(0.0, color=INK, linewidth=0.8)
    else:
        axis.axvline(0.0, color=INK, linewidth=0.8)


def steps(axis: Axes, values: Array, color: str, label: str, line: str = "-") -> None:
    """Draw hourly values as a line with steps."""
    axis.stairs(
        values,
        np.arange(len(values) + 1),
        baseline=None,
        color=color,
        label=label,
        linewidth=1.8,
        linestyle=line,
    )


def by_hour(axis: Axes) -> None:
    """Let a panel's axis be the hours of a day."""
    axis.set_xlabel("hour of the day")
    axis.set_xlim(0.0, 24.0)
    axis.xaxis.set_major_locator(MultipleLocator(3.0))


def beside(axis: Axes) -> None:
    """Put the legend to the right of a panel."""
    with style():
        axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), labelcolor=INK)


def titled(axis: Axes, text: str) -> None:
    """Say above a panel what it shows."""
    with style():
        axis.set_title(text)
