"""The page of `mmg reproduce s1`.

Source: what the page quotes of Bian & Ji 2025 is in `s1_paper`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from baselines.bargaining.quoting import DECEPTIVE, FRICTION, SUPPRESSED
from experiments.records import origin_of
from experiments.report.facts import run_facts
from experiments.reproduce.page import Page, Part, folded, headed, rendered
from experiments.reproduce.phrases import bulleted, listed, said
from experiments.reproduce.s1_cases import CLOSE, SHOWN, system_of
from experiments.reproduce.s1_charts import curve_chart, power_chart, schedule_chart
from experiments.reproduce.s1_findings import QUICK as QUICK_SIZE
from experiments.reproduce.s1_findings import Findings
from experiments.reproduce.s1_lie_parts import lie_parts
from experiments.reproduce.s1_paper import PAPER
from experiments.reproduce.s1_trade_charts import haggling_chart, trade_chart
from experiments.reproduce.s1_words import (
    first_system,
    of_agreement,
    of_costs,
    of_haggling,
    of_paper,
    of_powers,
    of_trades,
    verdict,
)
from experiments.reproduce.tables import Table, as_html

CALIBRATED: Final = (
    "Tariff and scene probabilities are the paper's; device sizes and profiles are not public and "
    "are ours, calibrated so that microgrids alone pay on the known day about what they pay in the "
    "paper. What they save together was not calibrated. Iterations and seconds in the paper are of "
    "another formulation, on its instance and machine: they stand beside ours to be read, not to "
    "be met."
)
QUICK: Final = (
    f"This is a quick run: few days and few rounds, coarse lies, and robust days in steps of "
    f"{QUICK_SIZE.dt_h:g} h. Run it without --quick."
)
NOT_REPRODUCED: Final = (
    'The paper\'s "operating modes" are our switches; its pairwise trades are attributed flows of '
    "one pool here.",
    "What it calls multi-stage is two-stage here, plus a rolling horizon.",
    "The step of its algorithm 2 that sets transaction prices to discrete values is not legible in "
    "what we could read.",
    "Its profiles and device sizes are not public, nor are the formulas of its deceptive quotes: "
    "the game is ours.",
    "The norm of its residuals is not legible either; ours are root mean squares over the hours.",
    of_paper(),
)
"""See docs/model.md section 9."""


def page_of(findings: Findings, tables: Sequence[Table]) -> str:
    """Return the page as HTML."""
    size = findings.size
    system = system_of(first_system(findings))
    quick = " --quick" if size.quick else ""
    return rendered(
        Page(
            "Microgrids that cooperate, bargain and deceive",
            f"Systems {listed(size.systems)}: microgrids with a community storage (ces), on "
            f"the nominal day. After {PAPER}.",
            verdict(findings),
            [CALIBRATED, *([QUICK] if size.quick else [])],
            list(_parts(findings, {table.file: table for table in tables})),
            run_facts(system, origin_of(system), f"mmg reproduce s1{quick}"),
        )
    )


def _parts(findings: Findings, tables: Mapping[str, Table]) -> Iterator[Part]:
    yield from _money(findings, tables)
    yield from _agreement(findings, tables)
    yield from _plans(findings, tables)
    yield from lie_parts(findings, tables)
    yield Part(
        "In the paper, not here",
        "What a reader of the paper may miss.",
        [bulleted(NOT_REPRODUCED)],
    )


def _money(findings: Findings, tables: Mapping[str, Table]) -> Iterator[Part]:
    """Yield what everyone pays."""
    first, *others = findings.days
    yield Part(
        "What everyone pays",
        "Alone: nobody trades. Cooperation: each one's own costs in the plan that is best for all, "
        "before anything is settled; which of several equally cheap plans it is changes this "
        "column and payments, but no final cost. Robust day: everyone commits its units and what "
        "it exchanges before anything deviates; costs are those of the worst in each of the five "
        "typical days of winter, expected over these. Payments follow from the bargain; the "
        f"surplus is shared by {SHOWN}, as in the paper. Honest: quotes are true. Deceptive: each "
        f"quotes what is best for it, at audits of strength {DECEPTIVE:g}. Suppressed: likewise, "
        f"at strength {SUPPRESSED:g}. Lies destroy surplus at the rate {FRICTION:g}, and fines go "
        "to the others: both are our choice. Of the paper, its fraud cost, conclusion cost and "
        "benefit stand in the deceptive column.",
        [
            said(of_costs(findings, first)),
            headed(tables[f"costs_{first}"]),
            headed(tables[f"ends_{first}"]),
            said(of_paper()),
            *(folded(tables[f"{kind}_{name}"]) for name in others for kind in ("costs", "ends")),
        ],
    )


def _agreement(findings: Findings, tables: Mapping[str, Table]) -> Iterator[Part]:
    """Yield how participants agree."""
    yield Part(
        "How fast they agree",
        "P1 finds the plan that is best for all; P2 finds payments. Ours are of the known day, "
        "unless said otherwise: participants solve a quadratic programme each per round, where the "
        "paper's solve robust ones. It is another formulation on another machine.",
        [bulleted(of_agreement(findings)), as_html(tables["effort"])],
    )
    yield Part(
        "Residuals round by round",
        "The paper's plain form stops by a residual of powers alone. Beside it stand relative "
        "residuals of powers and prices, and what matters in the end: by how much a plan costs "
        "more than the best one, where powers are balanced after every round and everyone makes "
        f"the best of its part. A plan within {CLOSE:g} counts as found.",
        [curve_chart(findings), folded(tables["curves"])],
    )
    yield Part(
        "Payments agreed by prices",
        "P2 in the paper's form: in turns, gamma 10, each pair with a price of its own for every "
        "hour. Money is counted in shares of the surplus, and prices of a pair by the norm of its "
        "energy: both are our choice, and why rounds are few. Payments have a closed form, against "
        "which they are held here.",
        [said(of_haggling(findings)), haggling_chart(findings), folded(tables["haggling"])],
    )


def _plans(findings: Findings, tables: Mapping[str, Table]) -> Iterator[Part]:
    """Yield what is planned, and how it is shared."""
    first = first_system(findings)
    yield Part(
        "Who trades with whom, and at which prices",
        "The pool knows what each sends and receives; pairs are attributed pro rata. Payments are "
        "unique, prices are not: shown are those nearest the middle between sale and purchase "
        "price that make everyone pay what the bargain says.",
        [
            said(of_trades(findings)),
            trade_chart(findings, first),
            as_html(tables["trades"]),
            folded(tables["trades_by_hour"]),
        ],
    )
    yield Part(
        "Schedules",
        f"The agreed day of {first} by hour, replayed in the simulator.",
        [schedule_chart(findings.days[first]), folded(tables["schedules"])],
    )
    yield Part(
        "Bargaining powers",
        "Uniform: equal shares. Contribution: by energy sent and received. Marginal: by what all "
        "would lose without each. Shapley: by what each adds, whatever the order in which they "
        "come.",
        [
            said(of_powers(findings)),
            power_chart(findings),
            as_html(tables["powers"]),
            folded(tables["coalitions"]),
        ],
    )
