"""The charts of `mmg reproduce s1-robust`.

Source: our choice.
"""

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from experiments.reproduce.canvas import beside, by_hour, panels, svg, titled
from experiments.reproduce.s1_robust_cases import TARIFFS, Solved, name_of
from experiments.reproduce.s1_robust_findings import DISCRETE, Findings
from experiments.reproduce.s1_robust_methods import WorstDay
from experiments.reproduce.s1_robust_sweep_tables import label, money
from experiments.reproduce.s1_robust_sweeps import DAYS
from experiments.reproduce.s1_robust_tables import (
    BINARY,
    HEDGED,
    PLAIN,
    SERIES,
    solutions,
)
from experiments.statistics import cvar
from mmg_env.render import COLORS, INK, style, thousands

Array = NDArray[np.float64]

BLUE: Final = COLORS["community storage"]
RED: Final = COLORS["unserved"]
GREEN: Final = COLORS["batteries"]
GREY: Final = COLORS["grid"]
MEMBERS: Final = ("#0072b2", "#e69f00", "#009e73")
LINES: Final = {PLAIN: "-", HEDGED: "--", BINARY: ":"}


def convergence_chart(findings: Findings) -> str:
    """Draw both bounds of every method, round by round."""
    found = list(solutions(findings))
    names = list(dict.fromkeys(who for who, _, _ in found))
    figure, axes = panels(11.5, 3.0, 1, len(names))
    for axis, name in zip(axes, names, strict=True):
        for method, solved in ((method, one) for who, method, one in found if who == name):
            _bounds(axis, solved, method)
        titled(axis, name)
        axis.set_xlabel("round")
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
        axis.yaxis.set_major_formatter(FuncFormatter(thousands))
    axes[0].set_ylabel(money(findings))
    with style():
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, labelcolor=INK)
    return svg(figure, "Lower and upper bound by round for every member and the community")


def _bounds(axis: Axes, solved: Solved, method: str) -> None:
    """Draw the bounds of one method; hollow where an upper bound is not proven."""
    numbers = np.arange(1, len(solved.rounds) + 1)
    for side, color in (("upper", RED), ("lower", BLUE)):
        values = [getattr(at, side) for at in solved.rounds]
        text = f"{side} bound, {method}"
        axis.plot(numbers, values, LINES[method], color=color, label=text, linewidth=1.6)
        for number, value, at in zip(numbers, values, solved.rounds, strict=True):
            solid = side == "lower" or at.proven
            face = color if solid else "white"
            axis.plot([number], [value], "o", color=color, markerfacecolor=face, markersize=5)


def contest_chart(findings: Findings) -> str:
    """Draw the seconds of both masters by the number of scenes."""
    figure, axes = panels(11.5, 2.7, 1, len(findings.contests), sharey=True)
    for axis, (member, found) in zip(axes, findings.contests.items(), strict=True):
        scenes = [one.scenes for one in found]
        for text, color, seconds in (
            ("all at once", RED, [one.plain.master_s for one in found]),
            ("scene by scene (PH)", BLUE, [one.hedged.master_s for one in found]),
        ):
            axis.plot(scenes, seconds, "o-", color=color, label=text)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xticks(scenes, [str(count) for count in scenes])
        axis.minorticks_off()
        titled(axis, name_of(findings.size, member))
        axis.set_xlabel("scenes")
    axes[0].set_ylabel("master, s in all rounds")
    beside(axes[-1])
    return svg(figure, "Seconds of both masters by number of scenes")


def worst_chart(findings: Findings) -> str:
    """Draw expected and worst values of the most likely scene, a row per member."""
    count = len(findings.members)
    figure, axes = panels(11.5, 1.9 * count + 0.5, count, len(SERIES), sharex=True)
    for row, (member, found) in enumerate(findings.members.items()):
        for k, kind in enumerate(SERIES.values()):
            axis = axes[row * len(SERIES) + k]
            _hours(axis, found.day, k, findings.size.dt_h)
            titled(axis, f"{name_of(findings.size, member)}: {kind}, kW")
            if row < count - 1:
                axis.set_xlabel("")
    with style():
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, labelcolor=INK)
    return svg(figure, "Expected and worst wind, PV, load and heat by hour")


def _hours(axis: Axes, day: WorstDay, kind: int, dt_h: float) -> None:
    """Draw one series of a day."""
    edges = dt_h * np.arange(len(day.expected) + 1)
    for values, color, text in ((day.expected, GREY, "expected"), (day.worst, RED, "worst")):
        axis.stairs(values[:, kind], edges, baseline=None, color=color, label=text, linewidth=1.6)
    hit = edges[:-1][day.hit[:, kind]] + 0.5 * dt_h
    top = max(1.0, 1.12 * float(max(day.expected[:, kind].max(), day.worst[:, kind].max())))
    at = np.full(len(hit), 0.02 * top)
    axis.plot(hit, at, "^", color=INK, markersize=3.5, label="hour that is hit")
    axis.set_ylim(0.0, top)
    by_hour(axis)
    axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.yaxis.set_major_formatter(FuncFormatter(thousands))


def budget_chart(findings: Findings) -> str:
    """Draw what is promised by factor of the budgets, and what realised days cost."""
    figure, axes = panels(11.5, 3.2, 1, len(findings.budgets))
    for axis, (member, found) in zip(axes, findings.budgets.items(), strict=True):
        places, by = np.arange(len(found)), list(found.values())
        for text, color, line, values in (
            ("promised at worst, CVaR95", BLUE, "o:", [cvar(o.reality.promised) for o in by]),
            ("promised at worst, mean", BLUE, "o-", [o.reality.promised.mean() for o in by]),
            ("realised, CVaR95", GREEN, "v:", [cvar(o.reality.cost) for o in by]),
            ("realised, mean", GREEN, "v-", [o.reality.cost.mean() for o in by]),
        ):
            axis.plot(places, values, line, color=color, label=text, markersize=4.5)
        axis.set_xticks(places, [label(factor) for factor in found])
        titled(axis, name_of(findings.size, member))
        axis.set_xlabel("budgets, times the usual")
        axis.yaxis.set_major_formatter(FuncFormatter(thousands))
    axes[0].set_ylabel(f"{money(findings)} per day")
    with style():
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, labelcolor=INK)
    return svg(figure, "Worst case and realised cost by budget")


def price_chart(findings: Findings) -> str:
    """Draw what uncertain tariffs cost, and what the price of unserved load changes."""
    size = findings.size
    figure, axes = panels(11.5, 3.2, 1, 1 + len(DAYS), width_ratios=(1.2, *(1.0 for _ in DAYS)))
    for color, (member, found) in zip(MEMBERS, findings.tariffs.items(), strict=False):
        spread = [which for which in found if which != DISCRETE]
        least = found[spread[0]].upper
        above = [100.0 * (found[which].upper / least - 1.0) for which in spread]
        off = [100.0 * float(which) for which in spread]
        axes[0].plot(off, above, "o-", color=color, label=name_of(findings.size, member))
    known = 100.0 * (max(TARIFFS) - 1.0)
    for member, found in findings.tariffs.items():
        above_it = 100.0 * (found[DISCRETE].upper / found[size.tariffs[0]].upper - 1.0)
        text = "a few tariffs, known" if member == size.members[0] else None
        axes[0].plot([known], [above_it], "D", color=INK, markersize=4, label=text)
    titled(axes[0], "worst tariff")
    axes[0].set_xlabel("tariff off by up to, %")
    axes[0].set_ylabel("dearer than a certain tariff, %")
    for axis, kind in zip(axes[1:], DAYS, strict=True):
        _by_price(axis, findings, kind)
    most = max(1.0, *(1.05 * axis.get_ylim()[1] for axis in axes[1:]))
    for axis in axes[1:]:
        axis.set_ylim(-0.03 * most, most)
    axes[1].set_ylabel("dearer than at the lowest price, %")
    with style():
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, labelcolor=INK)
    return svg(figure, "What uncertain tariffs cost, and what the price of unserved load changes")


def _by_price(axis: Axes, findings: Findings, kind: str) -> None:
    """Draw how much dearer a kind of day is as shedding is."""
    prices = findings.size.unserved
    for color, (member, found) in zip(MEMBERS, findings.shed.items(), strict=False):
        least = found[kind, min(prices)].value.upper
        above = [100.0 * (found[kind, price].value.upper / least - 1.0) for price in prices]
        axis.plot(prices, above, "o-", color=color, label=name_of(findings.size, member))
    titled(axis, kind)
    axis.set_xlabel(f"price of unserved load, {money(findings)}/kWh")
