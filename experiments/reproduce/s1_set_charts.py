"""Uncertainty sets of a day in two dimensions, with the days that they are about.

A set of many entries is seen through two directions d_1 and d_2; its outline are the points that
reach farthest::

    for each angle a:  (d_1 . u, d_2 . u),  u = argmax over U of (cos(a) d_1 + sin(a) d_2) . u

Source: our choice.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from baselines.robust.correlated import expected_share, fit, historical_errors
from baselines.robust.sets import UncertaintySet, box, budgeted
from experiments.reproduce.canvas import panels, svg, titled
from mmg_env.errors import InputError
from mmg_env.layout import MEMBER_SERIES
from mmg_env.render import COLORS, INK, style, thousands
from mmg_env.splits import nominal_episode
from mmg_env.system import System

Array = NDArray[np.float64]

BLUE: Final = COLORS["community storage"]
GREY: Final = "#6b7785"
ORANGE: Final = "#d55e00"
ANGLES: Final = 720  # of an outline
FEW_ANGLES: Final = 40  # where points are drawn, not lines
NOON: Final = 12  # hour
HOURS: Final = 24


class Region(NamedTuple):
    """A set, and where it lies.

    Attributes:
        label: what it is.
        uncertain: deviations from the center, kW.
        center: (entries,) kW.
        coverage: share of the days seen that it holds, 0..1.
    """

    label: str
    uncertain: UncertaintySet
    center: Array
    coverage: float


class View(NamedTuple):
    """Two directions to look in.

    Attributes:
        title: what is seen.
        axes: names of the two, with units.
        directions: (2, entries) what a kW of each entry counts.
    """

    title: str
    axes: tuple[str, str]
    directions: Array


@dataclass(frozen=True, eq=False)
class SetsOfADay:
    """What the chart shows.

    Attributes:
        box: each entry for itself.
        budget: few entries in full.
        correlated: what was fitted.
        discrete: the budget set whose moves are made in full or not at all.
        fitted_days: (days, entries) deviations of the days of the fit, kW.
        other_days: (days, entries) of other days, kW.
        views: in what directions it is looked at.
    """

    box: Region
    budget: Region
    correlated: Region
    discrete: UncertaintySet
    fitted_days: Array
    other_days: Array
    views: tuple[View, ...]


def sets_of_a_day(
    system: System, member: str, budget: float = 6.0, fit_days: int = 200, other_days: int = 128
) -> SetsOfADay:
    """Return the sets of one member's nominal day, with days of `train` and `test` at its size.

    Args:
        system: a system whose source has a nominal day.
        member: whose wind, PV, load and heat.
        budget: how many hours of a series may deviate in full.
        fit_days: days of `train`, which the correlated set is fitted to.
        other_days: days of `test`.

    Raises:
        InputError: there is no such member, the steps are not hours, or there are fewer days.
    """
    names = list(system.members)
    if member not in names:
        raise InputError(f"member: {member!r} is not one of {', '.join(names)}")
    if system.dt_h != 1.0:
        raise InputError(f"system {system.name}: dt_h is {system.dt_h}; the chart needs 1 h")
    series, count = len(MEMBER_SERIES), len(names)
    own = np.arange(HOURS * series) * count + names.index(member)
    width = expected_share(nominal_episode(system).forecast(0))[:HOURS].ravel()[own]
    errors = historical_errors(system, "train", fit_days)[:, own]
    seen = errors * width
    others = historical_errors(system, "test", other_days)[:, own] * width
    group = np.tile(np.arange(series), HOURS)
    most = np.full(series, budget)
    found = fit(errors, width, series)
    nowhere = np.zeros(len(own))
    few = f"budget: {budget:g} hours of a series"
    return SetsOfADay(
        box=_region("box", box(width, width), nowhere, others),
        budget=_region(few, budgeted(width, width, group, most), nowhere, others),
        correlated=_region("fitted to errors", found.set, found.mean, others),
        discrete=budgeted(width, width, group, most, whole=True),
        fitted_days=seen,
        other_days=others,
        views=_views(member, series),
    )


def set_chart(shown: SetsOfADay) -> str:
    """Draw the outlines of the sets, points of the discrete set, and the days."""
    figure, axes = panels(11.5, 4.2, 1, len(shown.views))
    for axis, view in zip(axes, shown.views, strict=True):
        _draw(axis, shown, view)
    with style():
        figure.legend(
            *axes[0].get_legend_handles_labels(),
            loc="outside lower center",
            ncols=3,
            labelcolor=INK,
        )
    return svg(figure, "Uncertainty sets of a day in two dimensions, and days")


def outline(uncertain: UncertaintySet, directions: Array, angles: int = ANGLES) -> Array:
    """Return the outermost points of a set as seen in two directions, (points, 2), in turn.

    Args:
        uncertain: the set.
        directions: (2, entries).
        angles: how many ways to look; corners between two of them may be missed.
    """
    # Not straight along an axis: a whole edge would be as far as its ends.
    turn = 2.0 * np.pi * (np.arange(angles) + 0.37) / angles
    gains = np.asarray(uncertain.moves.T @ directions.T)
    # Both axes count alike, whatever their units.
    size = np.array([_reach(uncertain, gains[:, k]) for k in range(2)])
    scaled = gains / np.where(size > 0.0, size, 1.0)
    ways = np.column_stack([np.cos(turn), np.sin(turn)])
    points = np.array([uncertain.best(scaled @ way) @ gains for way in ways])
    new = np.abs(points - np.roll(points, 1, axis=0)).max(axis=1) > 1e-9 * max(size.max(), 1.0)
    return points[new] if new.any() else points[:1]


def _reach(uncertain: UncertaintySet, gain: Array) -> float:
    """Return the larger of how far a set reaches one way and the other."""
    return max(float(uncertain.best(sign * gain) @ gain * sign) for sign in (1.0, -1.0))


def _region(label: str, uncertain: UncertaintySet, center: Array, days: Array) -> Region:
    """Return a set with the share of days that it holds."""
    inside = float(np.mean(uncertain.gauge(days - center) <= 1.0 + 1e-6))
    return Region(label, uncertain, center, inside)


def _views(member: str, series: int) -> tuple[View, ...]:
    """Return two hours of wind, two halves of a day's load, and of what is to be covered."""
    hour = np.arange(HOURS)[:, None]
    kind = {name: np.arange(series) == k for k, name in enumerate(MEMBER_SERIES)}
    wind = np.array([(hour == h) & kind["wind_kw"] for h in (NOON, NOON + 1)], dtype=float)
    half = np.array([hour < NOON, hour >= NOON], dtype=float)
    net = kind["load_kw"] * 1.0 - kind["wind_kw"] - kind["pv_kw"]
    halves = ("before noon, kWh", "after noon, kWh")
    hours = (f"{NOON} to {NOON + 1} h, kW", f"{NOON + 1} to {NOON + 2} h, kW")
    return (
        View(f"{member}: deviation of wind", hours, wind.reshape(2, -1)),
        View(f"{member}: deviation of load", halves, (half * kind["load_kw"]).reshape(2, -1)),
        View(f"{member}: deviation of load less wind and PV", halves, (half * net).reshape(2, -1)),
    )


def _draw(axis: Axes, shown: SetsOfADay, view: View) -> None:
    """Draw one view."""
    for days, color, label in (
        (shown.fitted_days, "#b9c1c9", "days of the fit"),
        (shown.other_days, INK, "other days"),
    ):
        across, up = view.directions @ days.T
        axis.plot(across, up, "o", color=color, markersize=2.6, label=label)
    for region, color, line in (
        (shown.box, GREY, "--"),
        (shown.budget, ORANGE, "-"),
        (shown.correlated, BLUE, "-"),
    ):
        center = view.directions @ region.center
        around = outline(region.uncertain, view.directions) + center
        closed = np.vstack([around, around[:1]])
        axis.fill(*around.T, color=color, alpha=0.07, linewidth=0.0)
        label = f"{region.label} (holds {100.0 * region.coverage:.0f} % of other days)"
        axis.plot(*closed.T, color=color, linewidth=1.8, linestyle=line, label=label)
    corners = outline(shown.discrete, view.directions, FEW_ANGLES)
    axis.plot(
        *corners.T,
        "o",
        color=ORANGE,
        markersize=4.5,
        markerfacecolor="white",
        label="discrete budget: points farthest out",
    )
    titled(axis, view.title)
    axis.set_xlabel(view.axes[0])
    axis.set_ylabel(view.axes[1])
    for scale in (axis.xaxis, axis.yaxis):
        scale.set_major_locator(MaxNLocator(5))
        scale.set_major_formatter(FuncFormatter(thousands))
