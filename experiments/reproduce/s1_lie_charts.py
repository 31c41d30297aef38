"""The charts of `mmg reproduce s1` on lies.

Source: our choice.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from baselines.bargaining.audits import SIGMAS
from experiments.reproduce.canvas import beside, panels, svg, titled
from experiments.reproduce.s1_charts import BLUE, RED, colors_of
from experiments.reproduce.s1_findings import Findings, currency
from experiments.reproduce.s1_lie_tables import FORMULAS, MARKET, STAGES
from experiments.reproduce.s1_lies import STRENGTHS
from mmg_env.render import INK, style

Array = NDArray[np.float64]


def lie_chart(findings: Findings) -> str:
    """Draw lies, losses and gains by strength of audits, a row per game."""
    found = findings.lied
    power = next(iter(found.analytic))
    names = next(iter(findings.days.values())).names
    formulas, market = found.analytic[power], found.market[power]
    honest = found.surplus
    figure, axes = panels(11.5, 5.2, 2, 3, sharex=True)
    _row(
        axes[:3],
        np.array([at.lies for at in formulas]),
        np.array([[at.welfare_loss, at.redistributed] for at in formulas]),
        np.array([at.gains for at in formulas]) * honest,
        names,
    )
    _row(
        axes[3:],
        np.array([at.lies for at in market]),
        np.array([[max(at.welfare_loss, 0.0), at.redistributed] for at in market]),
        np.array([at.gains for at in market]),
        names,
    )
    for axis, game in zip(axes[::3], (FORMULAS, MARKET), strict=True):
        axis.set_ylabel(game)
    for axis in axes[3:]:
        axis.set_xlabel("strength of audits")
        axis.set_xticks(np.arange(len(STRENGTHS)), [f"{at:g}" for at in STRENGTHS])
    with style():
        drawn = [axes[k].get_legend_handles_labels() for k in (0, 1)]
        handles, labels = (first + second for first, second in zip(*drawn, strict=True))
        figure.legend(handles, labels, loc="outside lower center", ncols=6, labelcolor=INK)
    return svg(figure, "Lies, losses and gains by strength of audits in both games")


def _row(axes: list[Axes], lie: Array, shares: Array, gains: Array, names: Sequence[str]) -> None:
    """Draw one game.

    Args:
        axes: three panels.
        lie: (strengths, participants).
        shares: (strengths, 2) of the surplus: what is lost, and what moves.
        gains: (strengths, participants) currency.
        names: of the participants.
    """
    places = np.arange(len(lie))
    for p, (name, color) in enumerate(zip(names, colors_of(names), strict=True)):
        axes[0].plot(places, 100.0 * lie[:, p], "o-", color=color, label=name, markersize=4)
        axes[2].plot(places, gains[:, p], "o-", color=color, label=name, markersize=4)
    both = (("surplus lost", RED), ("surplus moved to others", BLUE))
    for (label, color), values in zip(both, shares.T, strict=True):
        axes[1].plot(places, 100.0 * values, "s--", color=color, label=label, markersize=4)
    titled(axes[0], "lie, % of one's part")
    titled(axes[1], "% of the surplus")
    titled(axes[2], f"gain, {currency()}")
    axes[0].set_ylim(-3.0, 95.0)
    axes[1].set_ylim(bottom=-0.5)


def roc_chart(findings: Findings) -> str:
    """Draw who is flagged at which threshold, and who has what of the surplus."""
    figure, axes = panels(11.5, 3.3, 1, 2, width_ratios=(1.0, 1.5))
    for (known, found), color in zip(findings.detected.found.items(), (BLUE, RED), strict=True):
        curve = found.roc
        axes[0].plot(100.0 * curve.false_rate, 100.0 * curve.true_rate, color=color, label=known)
        at = int(np.searchsorted(-curve.threshold, -SIGMAS, side="right")) - 1
        axes[0].plot(
            [100.0 * curve.false_rate[at]], [100.0 * curve.true_rate[at]], "o", color=color
        )
    axes[0].plot([0.0, 100.0], [0.0, 100.0], color=INK, linewidth=0.8, linestyle=":")
    titled(axes[0], f"flagged at every threshold; dots: {SIGMAS:g} sigma")
    axes[0].set_xlabel("of the honest, %")
    axes[0].set_ylabel("of the liars, %")
    with style():
        axes[0].legend(loc="lower right", labelcolor=INK)
    _shares(axes[1], findings)
    return svg(figure, "ROC curves of detection and shares of liars and honest participants")


def _shares(axis: Axes, findings: Findings) -> None:
    """Draw what liars and honest participants have of what is due to them."""
    labels, place = [], 0.0
    for known, found in findings.detected.found.items():
        stages = (found.quoted, found.seized, found.distrusted)
        for stage, when in zip(stages, STAGES, strict=True):
            axis.bar([place - 0.2], [100.0 * stage.liars], 0.38, color=RED)
            axis.bar([place + 0.2], [100.0 * stage.honest], 0.38, color=BLUE)
            labels.append(when)
            place += 1.0
        axis.annotate(
            f"it knows {known}",
            (place - 2.0, 0.95),
            xycoords=("data", "axes fraction"),
            ha="center",
        )
        place += 0.5
    step = len(STAGES) + 0.5
    places = [k // len(STAGES) * step + k % len(STAGES) for k in range(len(labels))]
    axis.set_xticks(places, labels)
    axis.axhline(100.0, color=INK, linewidth=0.8)
    axis.set_ylim(0.0, 190.0)
    axis.grid(visible=False, axis="x")
    titled(axis, "liars (red) and honest ones (blue) have, % of what is due to them")


def learner_chart(findings: Findings) -> str:
    """Draw learned margins and what they bring, by strength of audits; empty where none learned."""
    if findings.learned is None:
        return ""
    study = findings.learned
    names = study.participants
    figure, axes = panels(11.5, 2.9, 1, 2)
    places = np.arange(len(study.found))
    width = 0.8 / len(names)
    for p, (name, color) in enumerate(zip(names, colors_of(names), strict=True)):
        at = places + (p - 0.5 * (len(names) - 1)) * width
        margins = [np.mean([seed[p] for seed in found.margin]) for found in study.found]
        own = [np.mean([seed[p] for seed in found.own]) for found in study.found]
        axes[0].bar(at, margins, 0.92 * width, color=color, label=name)
        axes[1].bar(at, own, 0.92 * width, color=color, label=name)
    titled(axes[0], "learned margin (0 is honest)")
    titled(axes[1], f"pays more than where all are honest, {study.currency} per day")
    axes[0].set_ylim(0.0, 1.0)
    axes[1].axhline(0.0, color=INK, linewidth=0.8)
    for axis in axes:
        axis.set_xticks(places, [f"{found.strength:g}" for found in study.found])
        axis.set_xlabel("expected fine per hidden unit")
        axis.grid(visible=False, axis="x")
    beside(axes[1])
    return svg(figure, "Learned margins and what they bring by strength of audits")
