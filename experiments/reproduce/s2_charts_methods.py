"""The charts of `mmg reproduce s2` on methods, prices, risk, promise and reality.

Source: our choice.
"""

from typing import Final

import numpy as np
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from experiments.report.words import amount
from experiments.reproduce.canvas import beside, by_hour, panels, steps, svg, titled
from experiments.reproduce.s2_charts import BLUE, GREY, HOUSES
from experiments.reproduce.s2_findings import Findings
from experiments.reproduce.s2_money import currency, houses, per_day
from experiments.reproduce.s2_tables import costs_by_way, mean_frontier
from mmg_env.render import INK, thousands

Array = NDArray[np.float64]

RED: Final = "#d55e00"
_LEAST: Final = 1e-9  # distance that is drawn where bounds are closer


def convergence_chart(findings: Findings) -> str:
    """Draw how far the bounds of each kind of cuts are from the optimum, round by round."""
    figure, axes = panels(11.5, 2.8, 1, len(findings.cuts), sharey=True)
    for axis, cut in zip(axes, findings.cuts, strict=True):
        scale = max(1.0, abs(cut.optimum))
        numbers = np.array([at.number + 1 for at in cut.trace])
        for name, color in (("upper", RED), ("lower", BLUE)):
            bounds = np.array([getattr(at, name) for at in cut.trace])
            far = np.abs(bounds - cut.optimum) / scale
            axis.plot(numbers, np.maximum(far, _LEAST), color=color, label=f"{name} bound")
        axis.set_yscale("log")
        titled(axis, f"cuts by {cut.kind}" if cut.kind != "single" else "a single cut per house")
        axis.set_xlabel("round")
    axes[0].set_ylabel("distance from the optimum, relative")
    beside(axes[-1])
    return svg(figure, "Distance of lower and upper bound from the optimum by round")


def negotiation_chart(findings: Findings) -> str:
    """Draw the residuals of the negotiation, and agreed beside posted prices."""
    found = findings.negotiated
    figure, axes = panels(11.5, 3.2, 1, 2, width_ratios=(1.0, 1.9))
    numbers = [at.number + 1 for at in found.trace]
    axes[0].plot(numbers, [at.primal for at in found.trace], color=BLUE, label="powers differ")
    axes[0].plot(numbers, [at.dual for at in found.trace], color=RED, label="prices are off")
    axes[0].set_yscale("log")
    titled(axes[0], "Residuals, relative")
    axes[0].set_xlabel("round")
    axes[0].legend(frameon=False, labelcolor=INK, fontsize=8.0)
    for k, name in enumerate(houses()):
        steps(axes[1], found.prices[k], HOUSES[k % len(HOUSES)], f"agreed, {name}")
    steps(axes[1], found.posted["from_ces"], INK, "posted, from the storage", "--")
    steps(axes[1], found.posted["to_ces"], GREY, "posted, to the storage", "--")
    titled(axes[1], f"Price of power at a house's bus, {currency()} per kWh")
    axes[1].set_ylim(bottom=0.0)
    by_hour(axes[1])
    beside(axes[1])
    return svg(figure, "Residuals of the negotiation and transactive prices by hour")


def frontier_chart(findings: Findings) -> str:
    """Draw CVaR over mean cost for each weight of CVaR but 1."""
    points = mean_frontier(findings)
    points = points[points[:, 0] < 1.0]
    figure, axes = panels(6.8, 3.2)
    axis = axes[0]
    axis.plot(points[:, 1], points[:, 2], "o-", color=BLUE)
    for beta, mean, cvar in points:
        axis.annotate(f"beta {beta:g}", (mean, cvar), (6, 4), "data", "offset points", fontsize=8.5)
    axis.margins(0.14)
    axis.set_xlabel(f"mean cost, {per_day()}")
    axis.set_ylabel(f"CVaR, {per_day()}")
    return svg(figure, "Risk frontier: CVaR over mean cost")


def reality_chart(findings: Findings) -> str:
    """Draw the mean cost of each way beside the promise."""
    found = costs_by_way(findings)
    figure, axes = panels(8.6, 0.34 * len(found) + 0.8)
    axis, places = axes[0], np.arange(len(found))[::-1]
    means = [float(costs.mean()) for costs in found.values()]
    colors = [GREY, GREY, *([BLUE] * (len(found) - 2))]
    axis.barh(places, means, 0.6, color=colors)
    axis.axvline(means[0], color=INK, linewidth=1.0, linestyle="--")
    for place, mean in zip(places, means, strict=True):
        at = (max(mean, 0.0), place)
        axis.annotate(amount(mean), at, (5, 0), "data", "offset points", va="center", fontsize=8.5)
    axis.set_yticks(places, list(found))
    axis.margins(x=0.1)
    axis.grid(visible=False, axis="y")
    axis.xaxis.set_major_formatter(FuncFormatter(thousands))
    axis.set_xlabel(f"mean cost, {per_day()}; dashed: the promise")
    return svg(figure, "What is promised, and what days come to")
