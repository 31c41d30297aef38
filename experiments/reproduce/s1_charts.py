"""The charts of `mmg reproduce s1` on the cooperative day.

Source: our choice.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from experiments.reproduce.canvas import beside, by_hour, panels, stacked, svg, titled
from experiments.reproduce.s1_cases import ADAPTIVE, CLOSE, PARALLEL, PLAIN, Curve, Day
from experiments.reproduce.s1_findings import Findings, currency
from experiments.reproduce.s1_paper import RESIDUAL
from experiments.reproduce.s1_tables import CHAIN
from mmg_env.layout import F
from mmg_env.render import COLORS, INK, style, thousands

Array = NDArray[np.float64]

BLUE: Final = COLORS["community storage"]
RED: Final = COLORS["unserved"]
GREEN: Final = COLORS["batteries"]
GREY: Final = COLORS["grid"]
_MICROGRIDS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
_STORAGE: Final = "#5b6770"
LINES: Final = {PLAIN: (RED, "-"), ADAPTIVE: (RED, ":"), PARALLEL: (BLUE, "-")}
RENEWABLE: Final = "#56b4e9"
POOL: Final = "#cc79a7"


def colors_of(names: Sequence[str]) -> list[str]:
    """Return a colour for every participant; the storage comes last."""
    return [*_MICROGRIDS[: len(names) - 1], _STORAGE]


def curve_chart(findings: Findings) -> str:
    """Draw residuals and cost of what is said, round by round, a column per system."""
    systems = findings.days
    figure, axes = panels(11.5, 7.4, 3, len(systems), sharex=True)
    for column, system in enumerate(systems):
        absolute, relative, cost = axes[column :: len(systems)]
        for manner, (color, line) in LINES.items():
            found = findings.curves[system, manner]
            numbers = np.arange(1, len(found.above) + 1)
            kw, both, above = _measured(found)
            for axis, values in ((absolute, kw), (relative, both), (cost, above)):
                axis.semilogy(numbers, values, line, color=color, label=manner, linewidth=1.5)
        chain = findings.chains[system].found.agreed.trace
        robust = [(at.primal_kw, max(at.primal, at.dual)) for at in chain]
        for axis, values in zip((absolute, relative), np.array(robust).T, strict=True):
            axis.semilogy(
                np.arange(1, len(chain) + 1), values, color=GREEN, label=CHAIN, linewidth=1.5
            )
        absolute.axhline(RESIDUAL, color=INK, linestyle="--", linewidth=0.9)
        cost.axhline(CLOSE, color=INK, linestyle="--", linewidth=0.9)
        titled(absolute, f"{system}: powers do not balance by, kW; dashed: the paper's end")
        titled(relative, "larger of both relative residuals")
        titled(cost, f"cost above the best plan, relative; dashed: {CLOSE:g}")
        cost.set_xlabel("round")
        cost.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    with style():
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, labelcolor=INK)
    return svg(figure, "Residuals and cost by round for four ways to agree")


def _measured(found: Curve) -> tuple[Array, Array, Array]:
    """Return what is drawn of a curve, all above zero."""
    kw = np.array([at.primal_kw for at in found.residuals])
    both = np.array([max(at.primal, at.dual) for at in found.residuals])
    return np.maximum(kw, 1e-6), np.maximum(both, 1e-6), np.maximum(found.above, 1e-8)


def schedule_chart(day: Day) -> str:
    """Draw everyone's power balance by hour, and the storage's energy."""
    members = day.names[:-1]
    figure, axes = panels(11.5, 2.35 * len(day.names) + 0.4, len(day.names), 1, sharex=True)
    for p, (axis, name) in enumerate(zip(axes, members, strict=False)):
        hours = np.arange(len(day.lived.flows)) + 0.5
        stacked(axis, hours, _balance(day, p))
        titled(axis, f"{name}: sources above zero, uses below")
        axis.set_ylabel("kW")
        axis.yaxis.set_major_formatter(FuncFormatter(thousands))
        beside(axis) if p == 0 else None
    _draw_storage(axes[-1], day)
    by_hour(axes[-1])
    return svg(figure, "Power balance of every microgrid by hour and the storage's energy")


def _balance(day: Day, p: int) -> dict[str, tuple[Array, str]]:
    """Return a member's sources (positive) and uses (negative) of power, (steps,) each."""
    lived, episode = day.lived, day.lived.episode

    def flow(name: F) -> Array:
        return np.asarray(lived.flow(name)[:, p])

    battery = flow(F.battery_kw)
    renewable = episode.wind_kw[:, p] + episode.pv_kw[:, p] - flow(F.curtailed_kw)
    return {
        "wind and PV": (renewable, RENEWABLE),
        "CHP": (flow(F.chp_kw), COLORS["CHP"]),
        "from the grid": (flow(F.import_kw), GREY),
        "from the pool": (flow(F.received_kw), POOL),
        "battery out": (np.maximum(battery, 0.0), GREEN),
        "load, shifts included": (-(episode.load_kw[:, p] + flow(F.flex_kw)), COLORS["load"]),
        "to the pool": (-flow(F.sent_kw), "#e3b4cf"),
        "to the grid": (-flow(F.export_kw), "#c8cfd6"),
        "battery in": (np.minimum(battery, 0.0), "#7fcbb4"),
    }


def _draw_storage(axis: Axes, day: Day) -> None:
    """Draw what the storage receives and sends, and its energy."""
    flows = day.lived.flows[:, -1]
    hours = np.arange(len(flows)) + 0.5
    layers = {
        "receives": (flows[:, F.received_kw], POOL),
        "buys": (flows[:, F.import_kw], GREY),
        "sends": (-flows[:, F.sent_kw], "#e3b4cf"),
        "sells": (-flows[:, F.export_kw], "#c8cfd6"),
    }
    stacked(axis, hours, layers)
    energy = day.lived.energy_kwh[:, -1]
    axis.plot(np.arange(len(energy)), energy, color=BLUE, linewidth=1.8, label="energy, kWh")
    titled(axis, "Storage: powers, kW, and energy, kWh")
    axis.set_ylabel("kW, kWh")
    axis.yaxis.set_major_formatter(FuncFormatter(thousands))
    beside(axis)


def power_chart(findings: Findings) -> str:
    """Draw what everyone gains by bargaining power, a panel per system."""
    figure, axes = panels(11.5, 3.0, 1, len(findings.days), sharey=True)
    for axis, (system, day) in zip(axes, findings.days.items(), strict=True):
        width = 0.8 / len(day.names)
        for p, name in enumerate(day.names):
            gains = [day.bargain(power).gains[p] for power in day.powers]
            places = np.arange(len(gains)) + (p - 0.5 * (len(day.names) - 1)) * width
            color = colors_of(day.names)[p]
            axis.bar(places, gains, 0.92 * width, color=color, label=name)
        axis.set_xticks(np.arange(len(day.powers)), list(day.powers))
        axis.grid(visible=False, axis="x")
        titled(axis, system)
        axis.yaxis.set_major_formatter(FuncFormatter(thousands))
    axes[0].set_ylabel(f"gain, {currency()}")
    beside(axes[-1])
    return svg(figure, "Gains of every participant by bargaining power")
