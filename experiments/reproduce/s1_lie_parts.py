"""The parts of the page of `mmg reproduce s1` on lies.

Source: our choice; Bian & Ji 2025, section 4.1 for the question.
"""

from collections.abc import Iterator, Mapping

from baselines.bargaining.audits import BLOCK, SIGMAS, TIMES
from baselines.bargaining.quoting import DECEPTIVE, FRICTION, MOST, SUPPRESSED
from experiments.report.words import amount
from experiments.reproduce.page import Part, folded
from experiments.reproduce.phrases import bulleted, listed, said
from experiments.reproduce.s1_cases import SHOWN, UNIFORM
from experiments.reproduce.s1_findings import Findings
from experiments.reproduce.s1_lie_charts import learner_chart, lie_chart, roc_chart
from experiments.reproduce.s1_lie_words import of_detection, of_learners, of_lies, of_truth
from experiments.reproduce.tables import Table, as_html


def lie_parts(findings: Findings, tables: Mapping[str, Table]) -> Iterator[Part]:
    """Yield the parts on lies, from why they pay to how they are found."""
    found = findings.lied
    grid = f"{len(found.grid)} lies from 0 to {100 * found.grid[-1]:.0f} %"
    system = findings.size.systems[0]
    yield Part(
        "Lies that pay",
        f"System {system}. A lie hides a share of an equal part of the surplus, {100 * MOST:g} % "
        "at most, and payments follow the quotes. In formulas: lies destroy surplus at the rate "
        f"{FRICTION:g}; all answer one another, as the paper's steps (1) to (5) have it. In the "
        "market: a lie is a margin on every traded kWh, a share of half the spread of the retail "
        "prices, so trades are decided anew; each takes its best of "
        f"{grid} in turn. Audits fine a lie by its square, and fines go to the others. Strength "
        f"{DECEPTIVE:g} is what is called deceptive above, {SUPPRESSED:g} suppressed. The chart "
        f"has powers by {SHOWN}.",
        [
            said(of_lies(findings)),
            lie_chart(findings),
            as_html(tables[f"lies_{SHOWN}"]),
            folded(tables[f"lies_{UNIFORM}"]),
            folded(tables["lies_together"]),
            folded(tables["lie_gains"]),
            folded(tables["adjustments"]),
        ],
    )
    yield Part(
        "Lies that are found",
        f"The centre has learnt from {findings.detected.audited} audited training days, by least "
        f"squares, what everyone should save. On {findings.detected.suspected} test days half of "
        f"the participants are honest and the others' lies are drawn between 0 and {100 * MOST:g} "
        f"%. Who quotes {SIGMAS:g} standard errors too little on {TIMES} of {BLOCK} days is "
        "flagged; what it hid is found by an audit and goes to the others, and its bargaining "
        "power is halved until it is trusted again. Powers are equal.",
        [
            said(of_detection(findings)),
            roc_chart(findings),
            as_html(tables["detection"]),
            folded(tables["roc"]),
        ],
    )
    yield Part(
        "Payments under which no lie pays",
        "Clarke's rule (VCG), on the known day with commitments relaxed, beside the bargain.",
        [said(of_truth(findings)), as_html(tables["clarke"])],
    )
    yield _learning(findings, tables)


def _learning(findings: Findings, tables: Mapping[str, Table]) -> Part:
    """Return what participants learn that know nothing of games."""
    study = findings.learned
    title = "Participants that learn what to quote"
    if study is None:
        return Part(title, "", [bulleted(of_learners(findings))])
    strengths = listed(f"{one.strength:g}" for one in study.found)
    return Part(
        title,
        "In the simulator's hourly auction all powers follow a rule, and each participant learns "
        "from its own bill alone what to quote, by kind of hour. A margin of 0 quotes what a kWh "
        "is worth at the grid's prices, 1 the other side's. Audits: expected fine per unit of "
        f"money that a quote hides: {strengths}. Learnt in {amount(study.size.steps)} hours with "
        f"{study.size.seeds} {'seed' if study.size.seeds == 1 else 'seeds'} each; figures are "
        f"means of {study.size.episodes} validation days. <code>mmg misquote</code> does it in "
        "full.",
        [
            bulleted(of_learners(findings)),
            learner_chart(findings),
            as_html(tables["misquoting_participants"]),
            folded(tables["misquoting_community"]),
            folded(tables["misquoting_cases"]),
        ],
    )
