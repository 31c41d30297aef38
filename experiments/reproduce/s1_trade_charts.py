"""The charts of `mmg reproduce s1` on trades and prices.

Source: our choice.
"""

from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, MultipleLocator
from numpy.typing import NDArray

from experiments.reproduce.canvas import panels, svg, titled
from experiments.reproduce.s1_charts import BLUE, RED
from experiments.reproduce.s1_findings import Findings, currency
from experiments.reproduce.s1_paper import RESIDUAL
from experiments.reproduce.s1_trade_tables import SHOWN_KWH, directed
from experiments.reproduce.s1_trading import SETTLED
from mmg_env.render import INK, style

Array = NDArray[np.float64]

_LEGIBLE: Final = 0.6  # of a map's range, above which ink turns white


def trade_chart(findings: Findings, system: str) -> str:
    """Draw what each delivers to each by hour, and the prices."""
    traded, names = findings.trading[system], findings.days[system].names
    pairs = directed(traded)
    labels = [f"{names[i]} to {names[j]}" for i, j in pairs]
    price = traded.pairs.matrix(traded.prices.per_kwh)
    kwh = np.array([traded.kwh[pair] for pair in pairs])
    prices = np.array([price[pair] for pair in pairs])
    figure, axes = panels(11.5, 1.5 + 0.52 * len(pairs), 2, 1, sharex=True)
    _heat(axes[0], np.where(kwh > SHOWN_KWH, kwh, np.nan), labels, "Blues", 0)
    titled(axes[0], "Delivered, kWh")
    _heat(axes[1], np.where(kwh > SHOWN_KWH, prices, np.nan), labels, "Oranges", 2)
    titled(axes[1], f"Price, {currency()} per kWh")
    axes[1].set_xlabel("hour of the day")
    axes[1].xaxis.set_major_locator(MultipleLocator(3.0))
    return svg(figure, "Energy traded and price by pair and hour")


def _heat(axis: Axes, values: Array, labels: list[str], colors: str, digits: int) -> None:
    """Draw (pairs, steps) values as a map with a number in each field."""
    with style():
        axis.set_facecolor("#fafbfc")
        top: Any = np.nanmax(values)
        low: Any = 0.0 if digits == 0 else np.nanmin(values)
        axis.pcolormesh(
            np.arange(values.shape[1] + 1),
            np.arange(len(values) + 1),
            np.ma.masked_invalid(values),
            cmap=colors,
            vmin=low,
            vmax=top,
            edgecolors="white",
            linewidth=0.8,
        )
        for (row, step), value in np.ndenumerate(values):
            if np.isfinite(value):
                pale = (value - low) / max(top - low, 1e-9) < _LEGIBLE
                axis.annotate(
                    f"{value:.{digits}f}",
                    (step + 0.5, row + 0.5),
                    ha="center",
                    va="center",
                    color=INK if pale else "white",
                    fontsize=7.0,
                )
        axis.set_yticks(np.arange(len(labels)) + 0.5, labels)
        axis.grid(visible=False)
        axis.invert_yaxis()


def haggling_chart(findings: Findings) -> str:
    """Draw residuals of prices and errors of payments, round by round."""
    figure, axes = panels(11.5, 3.0, 1, 2, sharex=True)
    lines = ("-", "--")
    colors = dict(zip(findings.trading, (BLUE, RED), strict=False))
    for system, traded in findings.trading.items():
        for (power, found), line in zip(traded.haggling.items(), lines, strict=True):
            numbers = np.arange(1, len(found.off) + 1)
            label = f"{system}, {power} powers"
            for axis, values in zip(axes, (found.apart_per_kwh, found.off), strict=True):
                drawn = np.maximum(values, 1e-9)
                axis.semilogy(numbers, drawn, line, color=colors[system], label=label)
    axes[0].axhline(RESIDUAL, color=INK, linestyle=":", linewidth=0.9)
    axes[1].axhline(SETTLED, color=INK, linestyle=":", linewidth=0.9)
    titled(axes[0], f"prices apart by, {currency()} per kWh; dotted: the paper's end")
    titled(axes[1], f"largest error of a payment, of the surplus; dotted: {SETTLED:g}")
    for axis in axes:
        axis.set_xlabel("round")
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    with style():
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, labelcolor=INK)
    return svg(figure, "Differences of prices and errors of payments by round")
