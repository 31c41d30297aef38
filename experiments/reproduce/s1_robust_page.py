"""The page of `mmg reproduce s1-robust`.

Source: what the page quotes of Bian & Ji 2025 is in their tables.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

from baselines.robust.deviations import BUDGETS, HALF_WIDTHS
from experiments.records import origin_of
from experiments.report.facts import run_facts
from experiments.reproduce.page import Page, Part, folded, rendered
from experiments.reproduce.phrases import bulleted, said
from experiments.reproduce.s1_robust_cases import (
    EXACT_GAP,
    GAP,
    MASTER_GAP,
    SYSTEM,
    TARIFF_BUDGET_H,
    TARIFF_WEIGHTS,
    TARIFFS,
    community_of,
    name_of,
)
from experiments.reproduce.s1_robust_charts import (
    budget_chart,
    contest_chart,
    convergence_chart,
    price_chart,
    worst_chart,
)
from experiments.reproduce.s1_robust_findings import Findings
from experiments.reproduce.s1_robust_methods import LARGE, LARGE_ROUNDS
from experiments.reproduce.s1_robust_sets import INSIDE
from experiments.reproduce.s1_robust_sweeps import NARROW_KW
from experiments.reproduce.s1_robust_tables import SERIES
from experiments.reproduce.s1_robust_words import (
    of_budgets,
    of_contests,
    of_methods,
    of_prices,
    of_sets,
    of_shortfalls,
    of_worst,
    verdict,
)
from experiments.reproduce.s1_set_charts import set_chart, sets_of_a_day
from experiments.reproduce.tables import Table, as_html
from mmg_env.sources.scenes import SHIFT_LOAD
from mmg_env.system import load_system

PAPER: Final = (
    "Bian, Ji 2025, A Robust Collaborative Optimization of Multi-Microgrids and Shared Energy "
    "Storage in a Fraudulent Environment, Energies 18, 4635"
)
CALIBRATED: Final = (
    "Tariff and scene probabilities are the paper's; device sizes, profiles, half-widths and "
    "budgets are not public and are ours. Seconds in the paper are of its instance on its machine: "
    "they stand beside ours to be read, not to be met."
)
QUICK: Final = (
    "This is a quick run: one of the members, short searches, few days and few points of each "
    "sweep. Run it without --quick."
)
NOT_REPRODUCED: Final = (
    "The paper's seconds and costs: its instance and its machine are its own.",
    "Its profiles, device sizes, half-widths and budgets are not public.",
    "Its price step in algorithm 2, which sets transaction prices to discrete values, is not "
    "legible in what we could read. Discrete tariffs are scenes here.",
    "What it calls multi-stage is two-stage with affine rules or a rolling horizon here.",
    "Its data-correlated set is not given in a form that could be copied; ours has its idea.",
    "In its cost table the row of the negotiation's conclusion is 985.23 below the sum of the "
    "cooperation row, which payments among the four cannot cause. We do not reproduce it.",
)
"""See docs/model.md section 9."""


def page_of(findings: Findings, tables: Sequence[Table]) -> str:
    """Return the page as HTML."""
    size = findings.size
    system = community_of(size)
    quick = " --quick" if size.quick else ""
    names = ", ".join(name_of(size, member) for member in size.members)
    return rendered(
        Page(
            "Robust days of three microgrids",
            f"System {SYSTEM}: {names}, each alone unless said otherwise; the five typical days "
            f"of winter are the scenes. After {PAPER}.",
            verdict(findings),
            [CALIBRATED, *([QUICK] if size.quick else [])],
            list(_parts(findings, {table.file: table for table in tables})),
            run_facts(system, origin_of(system), f"mmg reproduce s1-robust{quick}"),
        )
    )


def _parts(findings: Findings, tables: Mapping[str, Table]) -> Iterator[Part]:
    yield from _solving(findings, tables)
    yield from _adversary(findings, tables)
    yield from _sweeps(findings, tables)
    yield from _sets(findings, tables)


def _solving(findings: Findings, tables: Mapping[str, Table]) -> Iterator[Part]:
    """Yield how the day is solved."""
    size = findings.size
    yield Part(
        "The robust day in every way",
        "Units are committed before anything deviates; the rest answers. The master decides "
        "against the worst cases found so far and bounds the value from below; what a decision "
        "costs at its worst bounds it from above, if an exact search proves that nothing is worse. "
        "PH decides the master scene by scene. One way at a time: the recourse has binaries, "
        "deviations are in full or none, and the search for the worst case is nested; elsewhere a "
        "device may run both ways at once where that pays. Affine rules "
        f"look only at hours that have come. The loop ends at a gap of {GAP:g}, the master at "
        f"{MASTER_GAP:g}, the exact search at {EXACT_GAP:g} or after {size.exact_s:g} s in a "
        f"scene, {size.nested_s:g} s where it is nested.",
        [
            said(of_methods(findings)),
            convergence_chart(findings),
            as_html(tables["methods"]),
            folded(tables["rounds"]),
        ],
    )
    large = [count for count in size.scenes if count >= LARGE]
    stopped = f" With {LARGE} scenes or more a loop has {LARGE_ROUNDS} rounds." if large else ""
    yield Part(
        "Where progressive hedging pays",
        "Both masters, to the same gap, with the same heuristic adversary and no proof. 5 scenes "
        "are winter's typical days and 20 those of all seasons; of more, each is one of the 20 "
        "with each series scaled by a factor from .8 to 1.2, drawn with a fixed seed."
        f"{stopped} Seconds are of this run, in which other work shares the machine.",
        [said(of_contests(findings)), contest_chart(findings), as_html(tables["contests"])],
    )


def _adversary(findings: Findings, tables: Mapping[str, Table]) -> Iterator[Part]:
    """Yield what the worst case is, and how well a heuristic finds it."""
    widths = ", ".join(
        f"{kind} {100 * width:g} % for {hours:g} h"
        for kind, width, hours in zip(SERIES.values(), HALF_WIDTHS, BUDGETS.hours, strict=True)
    )
    yield Part(
        "The worst case",
        "Each member's most likely typical day and its worst case for the robust plan. May "
        f"deviate: {escape(widths)} of a day. Several cases can be equally bad; one of them is "
        f"shown, and an hour may be hit that costs nothing.",
        [
            said(of_worst(findings)),
            worst_chart(findings),
            folded(tables["worst"]),
            folded(tables["worst_hours"]),
        ],
    )
    yield Part(
        "The heuristic beside the exact search",
        "The alternation of moves and duals (AOP) is a local search: it bounds nothing. Here it "
        "meets the exact search, scene by scene, for four first stages of each member.",
        [said(of_shortfalls(findings)), as_html(tables["heuristic"])],
    )


def _sweeps(findings: Findings, tables: Mapping[str, Table]) -> Iterator[Part]:
    """Yield what protection costs and brings."""
    yield Part(
        "The price of robustness, and what realised days cost",
        "Budgets from none to the box, in which every hour may deviate; they are cut down to whole "
        "steps. Of each plan only the commitments are held; every realised day is met with the "
        "best recourse that knows the whole day, as the promise assumes. Realised days are the "
        "system's own training episodes of winter: each belongs to the typical day from which it "
        "was drawn, and its promise is the worst case of that scene. They deviate by the system's "
        "noise, which knows no half-widths, at the expected tariff.",
        [
            said(of_budgets(findings)),
            budget_chart(findings),
            as_html(tables["reality"]),
            folded(tables["budgets"]),
        ],
    )
    weights = ", ".join(
        f"{factor:g} ({weight:g})" for factor, weight in zip(TARIFFS, TARIFF_WEIGHTS, strict=True)
    )
    yield Part(
        "Uncertain tariffs, and the price of unserved load",
        f"The tariff may be off by up to a share in {TARIFF_BUDGET_H:g} hours of a day, on top of "
        "wind, sun and loads; or all of it is scaled by one of a few factors (with its "
        f"probability: {escape(weights)}), known when the day begins, whose mean is what counts: "
        "that it may cost less than a certain tariff is what knowing it is worth. The price of "
        "unserved load can matter only where an import limit binds. So there are also days with "
        f"{100 * (SHIFT_LOAD - 1):.0f} % more load, as in the split shift, and these once more "
        f"with links to the grid of {NARROW_KW} kW each.",
        [
            said(of_prices(findings)),
            price_chart(findings),
            folded(tables["tariffs"]),
            folded(tables["unserved"]),
        ],
    )


def _sets(findings: Findings, tables: Mapping[str, Table]) -> Iterator[Part]:
    """Yield the fitted set, and what is left out."""
    size = findings.size
    shown = name_of(size, size.members[0])
    chart = set_chart(
        sets_of_a_day(load_system(SYSTEM), shown, fit_days=size.fit_days, other_days=size.test_days)
    )
    yield Part(
        "A set fitted to errors",
        f"By how much {size.fit_days} training days missed the forecast made as they began, in "
        "half-widths, gives the principal components along which a day may deviate, and what they "
        f"leave. The set is as large as it must be to hold {100 * INSIDE:g} % of these days; how "
        f"many of {size.test_days} test days it holds is for the table to say. Box and budget set "
        "stand there as they are and widened until they hold as many. Moves of the fitted set "
        "change many hours at once, which makes proof hard: its value lies between the master's "
        "bound and the lower of two others, which are what the exact search proves in its time, "
        "and the value of a budget set around it.",
        [
            said(of_sets(findings)),
            chart,
            "<p>Seen in two dimensions on the nominal day; the budget set of this chart has six "
            "hours of every series.</p>",
            as_html(tables["sets"]),
            folded(tables["fits"]),
        ],
    )
    yield Part(
        "In the paper, not here",
        "What a reader of the paper may miss.",
        [bulleted(NOT_REPRODUCED)],
    )
