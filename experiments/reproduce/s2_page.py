"""The page of `mmg reproduce s2`.

Source: what the page quotes of Bayat et al. 2026 is in their abstract.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

from baselines.day_plan import SLACK
from experiments.records import origin_of
from experiments.report.facts import run_facts
from experiments.reproduce.cases import RISK, SPLIT, case_system
from experiments.reproduce.methods import GAP
from experiments.reproduce.page import Page, Part, folded, rendered
from experiments.reproduce.s2_charts import (
    attribution_chart,
    bill_chart,
    headline_chart,
    market_chart,
    schedule_chart,
)
from experiments.reproduce.s2_charts_methods import (
    convergence_chart,
    frontier_chart,
    negotiation_chart,
    reality_chart,
)
from experiments.reproduce.s2_findings import SHOWN_DAY, Findings
from experiments.reproduce.s2_money import ordering, verdict
from experiments.reproduce.tables import Table, as_html

PAPER: Final = (
    "Bayat, Mohammadi, Zaker, Keihan Asl 2026, Risk-aware distributed transactive energy "
    "management for multi-area systems with cloud energy storage participation"
)
CALIBRATED: Final = (
    "The instance is calibrated by us: sizes, profiles and prices of the paper are not public, and "
    "neither is what its cases switch beyond what the abstract says. What this page claims are the "
    "signs and the ordering. Percentages stand beside the paper's to be compared, not to be met."
)
QUICK: Final = (
    "This is a quick run: too few days and scenarios for its intervals and means to say much. "
    "Run it without --quick."
)


def page_of(findings: Findings, tables: Sequence[Table]) -> str:
    """Return the page as HTML."""
    size = findings.size
    system = case_system({})
    quick = " --quick" if size.quick else ""
    return rendered(
        Page(
            "What a cloud storage is worth to itself and to houses",
            f"System {system.name}: {len(system.members)} clusters of houses (CRH) and a cloud "
            f"energy storage; {size.days} {SPLIT} days, {size.scenarios} scenarios each. "
            f"After {PAPER}.",
            f"From case 1 to case 3 {verdict(findings)}",
            [CALIBRATED, *([QUICK] if size.quick else [])],
            list(_parts(findings, {table.file: table for table in tables})),
            run_facts(system, origin_of(system), f"mmg reproduce s2{quick}"),
        )
    )


def _parts(findings: Findings, tables: Mapping[str, Table]) -> Iterator[Part]:
    yield from _money(findings, tables)
    yield from _operation(findings, tables)
    yield from _methods(findings, tables)
    yield from _uncertainty(findings, tables)


def _money(findings: Findings, tables: Mapping[str, Table]) -> Iterator[Part]:
    """Yield who gains what."""
    yield Part(
        "The three values of the paper",
        "Case 1: the storage sells energy to the houses, who may sell none to anybody. Case 2: it "
        "also takes energy from them, they may sell to the grid, and it offers reserve. Case 3: "
        "houses also trade with one another and rent virtual batteries. Two columns tell how much "
        "of the headline is about something else. <b>Resale only</b> is case 1 without a battery: "
        "the storage buys wholesale and sells to the houses. <b>Case 1 with feed-in</b> lets the "
        "houses sell to the grid, so what it saves them is not the storage's doing but the end of "
        "a ban. Costs are expected over the scenarios of a day, as replayed in the simulator; "
        "intervals are those of a bootstrap over the days. Where one has 0 in it, or there is "
        "none, the sign is open.",
        [headline_chart(findings), as_html(tables["headline"]), _order(findings)],
    )
    yield Part(
        "How far the division of the money is open",
        "Plans of the same cost may share the money differently: energy can pass the pool at one "
        "price, a rented battery at another, or go by the grid. Of all plans that cost no more "
        f"than the optimum (relative difference {SLACK:g} at most), the one that moves least power "
        "between participants counts here; each end of an exchange counts, so pool and rented "
        "batteries weigh alike. Beside it stand the plans that are worst and best for the storage, "
        "with the directions of all devices kept. The dark lines in the chart above are these "
        "ranges. Both ends are plans that were replayed. The lower end is exact; rent was left "
        "out of the search for the upper one, so more may be possible. The changes among equally "
        "cheap plans in the headline are the least and the largest from an end in case 1 to an "
        "end in case 3; the houses' figures are those at the same ends, where the storage earns "
        "least or most, and not the least and the most that houses can pay.",
        [as_html(tables["ranges"])],
    )
    yield Part(
        "What each feature is due",
        "Every combination of the four features is planned and replayed. A feature's Shapley value "
        "is its mean contribution over all orders in which the features may come; together they "
        "make the whole change from case 1 to case 3. Lines are 95 % intervals over the days. "
        "Bidirectional means that the storage takes energy from the houses and that they may "
        "sell to the grid.",
        [
            attribution_chart(findings),
            as_html(tables["attribution"]),
            folded(tables["combinations"]),
        ],
    )
    yield Part(
        "Who pays what",
        "Mean bills by ledger term. Payments in the pool, rent, fees and the settlement of virtual "
        "energy are transfers: what one pays another earns. All else is paid to or earned from the "
        "outside, wear included. The diamond is the sum.",
        [bill_chart(findings), folded(tables["bills"])],
    )


def _order(findings: Findings) -> str:
    """Return the order of the cases as a list."""
    lines = "".join(f"<li>{escape(line)}</li>" for line in ordering(findings))
    return f"<p>The order of the cases:</p><ul>{lines}</ul>"


def _operation(findings: Findings, tables: Mapping[str, Table]) -> Iterator[Part]:
    """Yield what the storage does."""
    day = findings.middle
    rented = ", ".join(f"{amount:.0f}" for amount in day.rented_kwh)
    yield Part(
        "A day of case 3",
        f"Test day {SHOWN_DAY} in its scenario {day.scenario}, the one of median cost. Pool "
        "exchanges are firm since the day before and the same in all scenarios; rented batteries "
        f"are not, so they carry what differs. The houses have rented {rented} kWh. What they have "
        "in their virtual batteries lies in the storage; the rest is its own. It may owe them more "
        "than it holds, because it may rent out more than it has; red says by how much.",
        [schedule_chart(findings), folded(tables["schedule"])],
    )
    yield Part(
        "The storage on its markets",
        "Wholesale energy (bought above zero, sold below), regulation and spinning reserve that it "
        "offers by hour in case 3, mean over days and scenarios.",
        [market_chart(findings), folded(tables["markets"])],
    )


def _methods(findings: Findings, tables: Mapping[str, Table]) -> Iterator[Part]:
    """Yield how the day is solved in parts."""
    size = findings.size
    yield Part(
        "Cuts between storage and houses",
        "The storage's operator and the houses solve the day together without showing one another "
        "their data: the operator asks each house for a net power, the house answers what that "
        "costs and at what slope. A kind of cut tells a number per house, scenario and hour, per "
        "house and scenario, or a single one per house. With a single one each house weighs its "
        f"own risk, so its optimum is another. A method ends at a gap of {GAP:g}, after "
        f"{size.rounds} rounds or {size.time_s:g} s; seconds are of this run, in which other work "
        f"shares the machine. Distances below a billionth are drawn there. Test day {SHOWN_DAY}, "
        f"beta {RISK.beta:g}, alpha {RISK.alpha:g}. The paper calls its decomposition "
        "compact Benders and does not publish its form; this one is ours.",
        [convergence_chart(findings), as_html(tables["convergence"]), folded(tables["rounds"])],
    )
    found = findings.negotiated
    yield Part(
        "Transactive prices",
        "The same coupling by ADMM, without risk: operator and houses move their powers until they "
        "agree, and prices come of it. An agreed price is what a kWh is worth at a house's bus, "
        "expected over the scenarios. Posted prices are those that the system's rule charges; they "
        "include the pool's fee and loss. Where the two differ, the posted price moves money, not "
        "energy."
        if found.trace
        else f"The negotiation found no optimum: {escape(found.failure)}.",
        [negotiation_chart(findings), folded(tables["prices"])] if found.trace else [],
    )


def _single_worst(scenarios: int) -> str:
    """Return a remark where the bad end of so many scenarios is but one of them."""
    if round(scenarios * (1.0 - RISK.alpha), 9) > 1.0:
        return ""
    return f" (of {scenarios} that is the single worst one)"


def _uncertainty(findings: Findings, tables: Mapping[str, Table]) -> Iterator[Part]:
    """Yield what risk, knowledge and recourse are worth."""
    yield Part(
        "Risk",
        "The plan minimises (1 - beta) times the mean plus beta times CVaR, the mean of the worst "
        f"{100.0 * (1.0 - RISK.alpha):.0f} % of scenarios{_single_worst(findings.size.scenarios)}; "
        f"the cases above have beta {RISK.beta:g}. "
        "Means over the days. At beta 1 only the worst scenarios count, and of all "
        "commitments that are best for them any may be found, whatever their mean. So it is in the "
        "table and not in the chart.",
        [frontier_chart(findings), as_html(tables["frontier"])],
    )
    yield Part(
        "What knowledge is worth",
        "VSS is what it costs more to commit the day for the mean scenario, EVPI what foresight of "
        "the scenario would save; both without risk, in expected cost of the day.",
        [as_html(tables["knowledge"])],
    )
    yield Part(
        "Promise and reality",
        "The two-stage plan promises an expected cost in which every scenario is foreseen once the "
        "day is committed. On the true day, of which these scenarios are forecasts, nobody "
        "foresees: the plan is played as it is (open loop: its commitments, and the wishes that "
        "are best for the mean scenario), or a policy decides hour by hour. What a policy costs "
        "less than open loop is the value of recourse; benders has commitments from a "
        "like plan, so it comes nearest to the same plan with recourse. The oracle knows the true "
        "day. Intervals are over the days; true days differ from their forecasts, so "
        "a promise may be missed either way.",
        [reality_chart(findings), as_html(tables["reality"])],
    )
