"""The picture of `mmg rescore`: what learners cost on `val` while they learn.

A line is the mean over training seeds, its band reaches from the best seed to the worst. What is
evaluated once is a level: cloning, and the rule at the score's zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter

COLOURS: Final = ("#d95f02", "#1b9e77", "#7570b3", "#e7298a", "#66a61e", "#a6761d", "#1f78b4")
RULE: Final = "#222222"
HEADROOM: Final = 0.25
"""How far above the rule the axis reaches, as a share of the rule's cost; above lies what has not
learned yet."""


@dataclass(frozen=True)
class Look:
    """One evaluation on val."""

    suite: str
    learner: str
    seed: int
    steps: float
    wall_s: float
    val_cost: float


def draw_curves(looks: Sequence[Look], rules: Mapping[str, tuple[float, str]], file: Path) -> None:
    """Draw a panel per suite.

    Args:
        looks: all evaluations.
        rules: what the score's zero costs on val, and in what currency, by suite.
        file: of the picture.
    """
    learners = list(dict.fromkeys(look.learner for look in looks))
    colours = {learner: COLOURS[k % len(COLOURS)] for k, learner in enumerate(learners)}
    width = 4.2 * len(rules)
    figure, axes = plt.subplots(
        1, len(rules), figsize=(width, 4.2), layout="constrained", squeeze=False
    )
    for axis, (suite, (rule, currency)) in zip(axes[0], rules.items(), strict=True):
        axis.axhline(rule, color=RULE, linestyle=":", label="tuned rule")
        lowest = rule
        for learner in learners:
            seen = [look for look in looks if (look.suite, look.learner) == (suite, learner)]
            if seen:
                _draw(axis, seen, colours[learner])
                lowest = min(lowest, *(look.val_cost for look in seen))
        axis.set(title=suite, xlabel="steps", ylabel=f"cost on val, {currency}")
        room = HEADROOM * abs(rule)
        axis.set_ylim(lowest - 0.1 * room, rule + room)
        axis.set_xscale("symlog", linthresh=1e4)
        axis.set_xlim(0.0, 1.1e6)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}".replace(",", " ")))
        axis.spines[["top", "right"]].set_visible(False)
    handles = {name: handle for axis in axes[0] for handle, name in zip(
        *axis.get_legend_handles_labels(), strict=True)}  # fmt: skip
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncol=8, frameon=False
    )
    figure.savefig(file, format="png", dpi=110)
    plt.close(figure)


def _draw(axis: Any, looks: Sequence[Look], colour: str) -> None:
    """Draw one learner: a line, or a level where it was evaluated once."""
    seeds = {look.seed for look in looks}
    curves = [
        sorted((look.steps, look.val_cost) for look in looks if look.seed == s) for s in seeds
    ]
    name = looks[0].learner
    if max(len(curve) for curve in curves) == 1:
        level = float(np.mean([curve[0][1] for curve in curves]))
        axis.axhline(level, color=colour, linestyle="--", label=name)
        return
    length = min(len(curve) for curve in curves)
    costs = np.array([[cost for _, cost in curve[:length]] for curve in curves])
    steps = [step for step, _ in curves[0][:length]]
    axis.plot(steps, costs.mean(axis=0), color=colour, label=name)
    axis.fill_between(steps, costs.min(axis=0), costs.max(axis=0), color=colour, alpha=0.2, lw=0)
