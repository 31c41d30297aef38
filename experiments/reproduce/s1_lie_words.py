"""What the findings of `mmg reproduce s1` on lies come to, in sentences computed from them.

Source: our choice.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.audits import SIGMAS
from baselines.bargaining.correlated_lies import Correlated
from baselines.bargaining.quoted_market import Equilibrium
from baselines.bargaining.quoting import DECEPTIVE
from experiments.report.words import amount, number
from experiments.reproduce.misquoting_tables import words as misquoting_words
from experiments.reproduce.phrases import between, listed
from experiments.reproduce.s1_cases import SHOWN, UNIFORM
from experiments.reproduce.s1_detection import METERED, PUBLIC
from experiments.reproduce.s1_findings import Findings, currency
from experiments.reproduce.s1_lies import STRENGTHS

Array = NDArray[np.float64]

NEGLIGIBLE: Final = 0.01  # currency; nobody lies for less
AT_DECEPTIVE: Final = STRENGTHS.index(DECEPTIVE)


def of_lies(findings: Findings) -> str:
    """Return what lies do in both games."""
    found = findings.lied
    effects, market = found.analytic[SHOWN], found.market[SHOWN]
    free, held = effects[0], effects[-1]
    middle, equal = (found.analytic[power][AT_DECEPTIVE] for power in (SHOWN, UNIFORM))
    return (
        f"In formulas, with powers by {SHOWN}: without audits everyone hides "
        f"{between(100.0 * free.lies)} % of its part and {number(100.0 * free.welfare_loss, 1)} % "
        f"of the surplus is lost; at strength {held.audits:g} it is {between(100.0 * held.lies)} % "
        f"and {number(100.0 * held.welfare_loss, 1)} %. At strength {DECEPTIVE:g} "
        f"{_better_off(findings)} than among the honest, and {_rates(middle.redistributed)} of the "
        f"surplus goes to others than the powers say; with equal powers "
        f"{_rates(equal.redistributed)}. In the market the loss is found, not assumed: it is "
        f"{number(100.0 * max(market[0].welfare_loss, 0.0), 1)} % without audits, as trades that "
        f"do not bear the margins do not take place, and {_regrets(market)}. "
        f"{_together(found.together)}"
    )


def _together(drawn: Sequence[tuple[Correlated, Correlated]]) -> str:
    """Return what lies drawn together leave to regret, and what they destroy without audits."""
    least, most = (number(100.0 * max(one.welfare_loss, 0.0), 1) for one in drawn[0])
    worst = max(one.regret for ends in drawn for one in ends)
    return (
        "Drawn together by somebody whom all trust, from a coarse grid, lies leave nobody more "
        f"than {number(worst, 2)} {currency()} to gain by another, at any strength; without audits "
        f"they destroy {least} to {most} %."
    )


def _better_off(findings: Findings) -> str:
    """Return who gains by lies of all in the game of formulas."""
    day = findings.days[findings.size.systems[0]]
    more = findings.lied.analytic[SHOWN][AT_DECEPTIVE].gains - day.powers[SHOWN]
    winners = [name for name, by in zip(day.names, more, strict=True) if by > 0.0]
    if not winners:
        return "nobody is better off"
    return f"{listed(winners)} {'is' if len(winners) == 1 else 'are'} better off"


def _regrets(market: Sequence[Equilibrium]) -> str:
    """Return at which strengths of audits nobody has a profitable lie left."""
    by_strength = list(zip(STRENGTHS, market, strict=True))
    open_at = [f"{strength:g}" for strength, at in by_strength if at.regret > NEGLIGIBLE]
    calm = [f"{strength:g}" for strength, at in by_strength if at.regret <= NEGLIGIBLE]
    texts = []
    if calm:
        texts.append(
            f"at strength {listed(calm)} nobody gains by another lie on the grid, which is an "
            "equilibrium"
        )
    if open_at:
        worst = max(at.regret for at in market)
        texts.append(
            f"at strength {listed(open_at)} taking turns goes round in circles: the lies shown are "
            f"those regretted least, by {amount(worst)} {currency()} at most, and no equilibrium"
        )
    return "; ".join(texts)


def of_detection(findings: Findings) -> str:
    """Return how well lies are found."""
    found = findings.detected.found
    whole, public = found[METERED], found[PUBLIC]
    return (
        f"Where the centre knows the exchange that it arranges, {_rates(whole.recall)} of the "
        f"liars' blocks are flagged at {SIGMAS:g} sigma, {_rates(whole.precision)} of the flags "
        f"are right, and the area under the curve is {number(whole.roc.area)}; from series and "
        f"tariff alone it is {number(public.roc.area)}, and {_rates(public.recall)} are found. "
        f"Liars have {_rates(whole.quoted.liars)} of their due where nobody looks, and "
        f"{_rates(whole.seized.liars)} where what was hidden is taken back. "
        f"{_distrust(whole.seized.redistributed, whole.distrusted.redistributed)} If the flagged "
        f"became honest, lies would destroy {_rates(whole.welfare_loss_after)} of the surplus and "
        f"not {_rates(whole.welfare_loss)}."
    )


def _rates(share: float) -> str:
    return f"{number(100.0 * share, 1)} %"


def _distrust(before: float, after: float) -> str:
    """Return whether less trust brings shares nearer to what is due."""
    moved = f"from {_rates(before)} to {_rates(after)} of the surplus"
    if after > before:
        return f"Halving the power of the flagged as well punishes: what is moved rises {moved}."
    return f"Halving the power of the flagged as well reduces what is moved {moved}."


def of_truth(findings: Findings) -> str:
    """Return what truth would cost."""
    texts = [
        f"in {system} the centre would have to add {amount(found.deficit)} {currency()}, "
        f"{_rates(found.deficit / found.surplus)} of the surplus"
        for system, found in findings.clarke.items()
    ]
    return (
        "Where everyone pays what its presence costs the others, no lie pays, and everyone gains "
        f"what all would lose without it. That adds up to more than there is: {'; '.join(texts)}."
    )


def of_learners(findings: Findings) -> tuple[str, ...]:
    """Return what participants have learned to quote."""
    if findings.learned is None:
        return ("Nobody has learned: torch and stable-baselines3 are not installed.",)
    return misquoting_words(findings.learned)
