"""The pictures of `mmg rescore`: costs on `val` while learning, and how scores are spread.

A curve is the mean over training seeds, its band reaches from the best seed to the worst. What is
evaluated once is a level: cloning, and the rule at the score's zero. A profile says which share of
all runs, seeds on episodes, score more than x; its band is a pointwise 95 % interval.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from experiments.aggregates import performance_profile
from experiments.report.table import Table

COLOURS: Final = (
    "#d95f02",
    "#1b9e77",
    "#7570b3",
    "#e7298a",
    "#66a61e",
    "#a6761d",
    "#1f78b4",
    "#e6ab02",
    "#17becf",
    "#a50026",
)
RULE: Final = "#222222"
DASHES: Final = (":", "--", "-.")
"""Of references, which are drawn in one colour."""
HEADROOM: Final = 0.3
"""How far above the rule the axis reaches, as a share of the rule's cost; above lies what has not
learned yet."""
WORST: Final = -1.0
"""Where profiles begin at the latest; what scores less, loses more than can be saved."""
THRESHOLDS: Final = 201


@dataclass(frozen=True)
class Look:
    """One evaluation on val."""

    suite: str
    learner: str
    seed: int
    steps: float
    wall_s: float
    val_cost: float


class Zero(NamedTuple):
    """What the policy at the score's zero costs on val."""

    policy: str
    cost: float
    currency: str


def colours_of(learners: Iterable[str]) -> dict[str, str]:
    """Return a colour per learner, the same in all pictures."""
    return {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(dict.fromkeys(learners))}


def draw_curves(
    looks: Sequence[Look], zeros: Mapping[str, Zero], colours: Mapping[str, str], file: Path
) -> None:
    """Draw costs on val, a panel per suite.

    Args:
        looks: all evaluations.
        zeros: what the score's zero costs on val, by suite.
        colours: of the learners.
        file: of the picture.
    """
    figure, axes = _panels(len(zeros))
    for axis, (suite, zero) in zip(axes, zeros.items(), strict=True):
        axis.axhline(zero.cost, color=RULE, linestyle=DASHES[0], label=zero.policy)
        costs = [zero.cost]
        for learner, colour in colours.items():
            seen = [look for look in looks if (look.suite, look.learner) == (suite, learner)]
            if seen:
                _draw_curve(axis, seen, colour)
                costs += [look.val_cost for look in seen]
        axis.set(title=suite, xlabel="steps", ylabel=f"cost on val, {zero.currency}")
        top = min(max(costs), zero.cost + HEADROOM * abs(zero.cost))
        margin = 0.1 * (top - min(costs)) or 1.0
        axis.set_ylim(min(costs) - margin, top + margin)
        axis.set_xscale("symlog", linthresh=1e4)
        axis.set_xlim(left=0.0)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}".replace(",", " ")))
    _finish(figure, axes, file)


def _draw_curve(axis: Any, looks: Sequence[Look], colour: str) -> None:
    """Draw one learner: a line, or a level where it was evaluated once."""
    curves: dict[int, dict[float, float]] = {}
    for look in looks:  # in the order of the file: where a step occurs twice, the last counts
        curves.setdefault(look.seed, {})[look.steps] = look.val_cost
    name = looks[0].learner
    if max(len(curve) for curve in curves.values()) == 1:
        level = float(np.mean([cost for curve in curves.values() for cost in curve.values()]))
        axis.axhline(level, color=colour, linestyle="--", label=name)
        return
    steps = sorted(set.intersection(*(set(curve) for curve in curves.values())))
    costs = np.array([[curve[step] for step in steps] for curve in curves.values()])
    axis.plot(steps, costs.mean(axis=0), color=colour, label=name)
    axis.fill_between(steps, costs.min(axis=0), costs.max(axis=0), color=colour, alpha=0.2, lw=0)


def draw_profiles(tables: Sequence[Table], colours: Mapping[str, str], file: Path) -> None:
    """Draw the performance profiles of learners and references, a panel per suite.

    Args:
        tables: one per suite.
        colours: of the learners.
        file: of the picture.
    """
    figure, axes = _panels(len(tables))
    for axis, table in zip(axes, tables, strict=True):
        scores = {name: table.scores[name] for name in (*table.references, *table.learners)}
        every = np.concatenate([runs.ravel() for runs in scores.values()])
        limits = np.linspace(max(WORST, every.min()), every.max(), THRESHOLDS)
        for k, name in enumerate(table.references):
            shares = performance_profile(scores[name], limits, np.random.default_rng(0)).shares
            axis.plot(limits, shares, color=RULE, linestyle=DASHES[k % len(DASHES)], label=name)
        for name in table.learners:
            found = performance_profile(scores[name], limits, np.random.default_rng(0))
            axis.plot(limits, found.shares, color=colours[name], label=name)
            axis.fill_between(limits, found.low, found.high, color=colours[name], alpha=0.1, lw=0)
        axis.set(title=f"{table.suite}, {table.split}", xlabel="score", ylim=(-0.02, 1.02))
        axis.set_ylabel("share of runs that score more")
    _finish(figure, axes, file)


def _panels(count: int) -> tuple[Figure, list[Any]]:
    """Return a figure with so many axes side by side."""
    size = (4.2 * count, 4.2)
    figure, axes = plt.subplots(1, count, figsize=size, layout="constrained", squeeze=False)
    return figure, list(axes[0])


def _finish(figure: Figure, axes: Sequence[Any], file: Path) -> None:
    """Write the figure under one legend for all axes."""
    labelled = [axis.get_legend_handles_labels() for axis in axes]
    legend = {
        name: handle
        for handles, names in labelled
        for handle, name in zip(handles, names, strict=True)
    }
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    columns = max(2, 3 * len(axes) - 1)  # what fits their width
    figure.legend(
        legend.values(), legend.keys(), loc="outside lower center", ncol=columns, frameon=False
    )
    figure.savefig(file, format="png", dpi=110)
    plt.close(figure)
