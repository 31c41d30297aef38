"""The charts of `mmg reproduce s2`.

Source: our choice.
"""

from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from experiments.report.words import amount
from experiments.reproduce.canvas import beside, by_hour, panels, stacked, steps, svg, titled
from experiments.reproduce.cases import CASES, FEATURES, NO_STORAGE, RESALE
from experiments.reproduce.s2_findings import Findings, attributed
from experiments.reproduce.s2_money import (
    WORDS,
    currency,
    generator,
    houses,
    mean_ledger,
    per_day,
    values_by_case,
)
from experiments.reproduce.s2_tables import hourly_markets
from experiments.statistics import mean_difference
from mmg_env.layout import F, L
from mmg_env.render import COLORS, INK, thousands

Array = NDArray[np.float64]

BLUE: Final = COLORS["community storage"]
GREEN: Final = COLORS["batteries"]
GREY: Final = COLORS["grid"]
HOUSES: Final = ("#e69f00", "#56b4e9", "#cc79a7")
TERMS: Final = {
    "bought": ("#9aa5b1", (L.grid_import,)),
    "sold to the grid": ("#5b6770", (L.grid_export,)),
    "wholesale market": ("#0072b2", (L.market,)),
    "reserve": ("#56b4e9", (L.reserve_revenue,)),
    "pool": ("#e69f00", (L.pool_payment,)),
    "rent and its fees": ("#cc79a7", (L.rental, L.service_fee, L.virtual_settlement)),
    "wear": ("#009e73", (L.wear,)),
    "energy left": ("#7fcbb4", (L.terminal,)),
    "network fee, shifts, penalties": (
        "#c9b8a8",
        (L.pool_fee, L.flex, L.unserved, L.spill),
    ),
}
"""Ledger terms that are drawn as one."""


def headline_chart(findings: Findings) -> str:
    """Draw the three values by case."""
    found = values_by_case(findings)
    figure, axes = panels(11.5, 2.9, 1, 3, sharey=True)
    places = np.arange(len(CASES))[::-1]
    for axis, (name, words) in zip(axes, WORDS.items(), strict=True):
        values = np.array([getattr(values, name).mean() for values in found.values()])
        faded = [case in (NO_STORAGE, RESALE) or "feed-in" in case for case in CASES]
        colors = [GREY if pale else BLUE for pale in faded]
        axis.barh(places, values, 0.62, color=colors)
        _whiskers(axis, findings, places) if name == "profit" else None
        for place, value in zip(places, values, strict=True):
            axis.annotate(
                amount(value),
                (max(value, 0.0), place),
                (5, 0),
                "data",
                "offset points",
                va="center",
            )
        axis.set_yticks(places, list(CASES))
        titled(axis, words)
        axis.set_xlabel(per_day())
        axis.margins(x=0.16)
        axis.grid(visible=False, axis="y")
        axis.xaxis.set_major_formatter(FuncFormatter(thousands))
    return svg(figure, "Storage's profit, houses' cost and wear by case")


def _whiskers(axis: Axes, findings: Findings, places: NDArray[Any]) -> None:
    """Draw the range of the storage's profit over equally cheap plans, below each bar."""
    for place, outcomes in zip(places, findings.cases.values(), strict=True):
        low, high = np.array([outcome.shared[1:, 0] for outcome in outcomes]).mean(axis=0)
        axis.plot([low, high], [place - 0.38] * 2, color=INK, linewidth=2.0, solid_capstyle="butt")


def bill_chart(findings: Findings) -> str:
    """Draw what the storage and the houses pay and earn by case."""
    figure, axes = panels(11.5, 3.4, 1, 2, sharey=True)
    places = np.arange(len(CASES), dtype=float)[::-1]
    ledgers = [mean_ledger(findings, case) for case in CASES]
    sides = {
        "storage": np.array([ledger[-1] for ledger in ledgers]),
        "houses together": np.array([ledger[:-1].sum(axis=0) for ledger in ledgers]),
    }
    for axis, (who, money) in zip(axes, sides.items(), strict=True):
        layers = {
            label: (money[:, list(terms)].sum(axis=1), color)
            for label, (color, terms) in TERMS.items()
        }
        stacked(axis, places, layers, upright=False)
        sums = money.sum(axis=1)
        axis.plot(sums, places, "D", color="white", markeredgecolor=INK, label="sum")
        axis.set_yticks(places, list(CASES))
        titled(axis, who)
        axis.set_xlabel(f"{per_day()}: earned left of zero, paid right")
        axis.grid(visible=False, axis="y")
        axis.xaxis.set_major_formatter(FuncFormatter(thousands))
    beside(axes[-1])
    return svg(figure, "Bills of storage and houses by ledger term and case")


def attribution_chart(findings: Findings) -> str:
    """Draw what each feature is due of each value, with intervals over days."""
    due = attributed(findings)
    figure, axes = panels(11.5, 2.1, 1, 3, sharey=True)
    places = np.arange(len(FEATURES))[::-1]
    for axis, (name, words) in zip(axes, WORDS.items(), strict=True):
        for place, feature in zip(places, FEATURES, strict=True):
            share = due[name][feature]
            found = mean_difference(share, np.zeros_like(share), generator())
            axis.barh([place], [found.value], 0.55, color=BLUE)
            axis.plot([found.low, found.high], [place] * 2, color=INK, linewidth=1.6)
        axis.axvline(0.0, color=INK, linewidth=0.8)
        axis.set_yticks(places, [feature.replace("_", " ") for feature in FEATURES])
        titled(axis, f"change of the {words}")
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.set_xlabel(per_day())
        axis.grid(visible=False, axis="y")
        axis.xaxis.set_major_formatter(FuncFormatter(thousands))
    return svg(figure, "Shapley values of the four features")


def schedule_chart(findings: Findings) -> str:
    """Draw the storage's day: power, pool, stored energy and prices."""
    day, names = findings.middle, houses()
    figure, axes = panels(10.5, 9.4, 4, 1, sharex=True, height_ratios=(1.2, 1.2, 1.4, 0.9))
    hours = np.arange(len(day.flows)) + 0.5
    storage = day.flows[:, -1]
    market = storage[:, F.import_kw] - storage[:, F.export_kw]
    axes[0].bar(hours, storage[:, F.battery_kw], 0.82, color=GREEN, label="battery, discharging")
    steps(axes[0], market, BLUE, "market, buying")
    titled(axes[0], "Storage: battery and wholesale market")
    power = day.flows[:, :-1]
    pool = {
        f"{name}, pool": (power[:, k, F.received_kw] - power[:, k, F.sent_kw], HOUSES[k % 3])
        for k, name in enumerate(names)
    }
    pale = {
        f"{name}, rented": (power[:, k, F.virtual_kw], f"{HOUSES[k % 3]}88")
        for k, name in enumerate(names)
    }
    stacked(axes[1], hours, pool | pale)
    titled(axes[1], "Houses: what they receive (above zero) and give (below)")
    _draw_energy(axes[2], findings)
    steps(axes[3], day.prices["tariff"], INK, "houses' tariff")
    steps(axes[3], day.prices["market"], BLUE, "wholesale, storage")
    titled(axes[3], "Purchase prices")
    units = ("kW", "kW", "kWh", f"{currency()} per kWh")
    for axis, unit in zip(axes, units, strict=True):
        axis.set_ylabel(unit)
        beside(axis)
    axes[3].set_ylim(bottom=0.0)
    by_hour(axes[3])
    return svg(figure, "The storage's schedule and stored energy on one day of case 3")


def _draw_energy(axis: Axes, findings: Findings) -> None:
    """Draw the stored energy: what houses have in it, and the rest, which is the storage's own."""
    day, names = findings.middle, houses()
    moments = np.arange(len(day.stored_kwh))
    own = day.stored_kwh - day.virtual_kwh.sum(axis=1)
    layers = [*day.virtual_kwh.T, np.maximum(own, 0.0)]
    labels = [*(f"{name}'s virtual battery" for name in names), "the storage's own"]
    colors = [*(HOUSES[k % 3] for k in range(len(names))), "#cfe3f1"]
    axis.stackplot(moments, layers, labels=labels, colors=colors)
    if (own < 0.0).any():
        axis.fill_between(
            moments, own, 0.0, where=own < 0.0, color="#d55e00", label="owed to houses"
        )
    axis.plot(moments, day.stored_kwh, color=INK, linewidth=1.6, label="stored in all")
    for limit in day.limits_kwh:
        axis.axhline(limit, color=INK, linewidth=0.8, linestyle=":")
    axis.set_ylim(bottom=min(0.0, float(own.min())))
    titled(axis, "Stored energy, divided; dotted: least and most that may be stored")


def market_chart(findings: Findings) -> str:
    """Draw the storage's part in its markets by hour."""
    found = hourly_markets(findings)
    figure, axes = panels(10.5, 3.0)
    axis = axes[0]
    bought, sold, *reserves = found.items()
    hours = np.arange(len(bought[1])) + 0.5
    stacked(axis, hours, {bought[0]: (bought[1], BLUE), sold[0]: (-sold[1], "#7db8de")})
    for (label, power), color in zip(reserves, ("#e69f00", "#cc79a7"), strict=True):
        steps(axis, power, color, label)
    axis.set_ylabel("kW, mean over days and scenarios")
    by_hour(axis)
    beside(axis)
    return svg(figure, "The storage on wholesale, regulation and spinning reserve by hour")
