"""What the findings of `mmg reproduce s1` come to, in sentences computed from them.

Source: our choice; figures of the paper are quoted in `s1_paper`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.quoting import DECEPTIVE, SUPPRESSED
from baselines.bargaining.trades import LEAST_KWH
from experiments.report.words import amount, number, percent
from experiments.reproduce.phrases import between, listed
from experiments.reproduce.s1_cases import CLOSE, MANNERS, PARALLEL, PLAIN, SHOWN, UNIFORM
from experiments.reproduce.s1_detection import METERED
from experiments.reproduce.s1_findings import Findings, currency, microgrids
from experiments.reproduce.s1_paper import (
    ALLIANCE,
    BENEFITS,
    RESIDUAL,
    WELFARE,
    fraud_sum,
    unexplained,
)
from experiments.reproduce.s1_quotes import DECEIVING, HONEST, SUPPRESSING, by_mode
from experiments.reproduce.s1_trading import SETTLED

Array = NDArray[np.float64]

SMALL: Final = 0.005  # currency; less is rounding


def first_system(findings: Findings) -> str:
    """Return the name of the system that stands beside the paper's."""
    return next(iter(findings.days))


def verdict(findings: Findings) -> str:
    """Return the result in a few sentences."""
    system = first_system(findings)
    day, money = findings.days[system], currency()
    bargain, robust = day.bargain(), findings.chains[system].bargain
    modes = by_mode(bargain)
    agreed = findings.curves[system, PARALLEL]
    first, last = agreed.first(), len(agreed.above)
    rounds = f"{first} rounds" if first else f"more than {last} rounds"
    lost, kept = (1.0 - modes[m].surplus / bargain.surplus for m in (DECEIVING, SUPPRESSING))
    found = findings.detected.found[METERED]
    return (
        f"Alone, the participants of {system} pay {amount(bargain.disagreement.sum())} {money} on "
        f"a known day (the paper: {amount(ALLIANCE['alone'])}); together "
        f"{amount(bargain.cooperation.sum())} ({amount(ALLIANCE['cooperation'])}). They find that "
        f"plan to {100 * CLOSE:g} % in {rounds} by telling one another powers and prices only. "
        f"On the robust winter day cooperation saves {amount(robust.surplus)} of "
        f"{amount(robust.disagreement.sum())}. Bargaining with the paper's powers lets each pay "
        f"{between(bargain.gains)} {money} less than alone on the known day. Where quotes may "
        f"deceive, participants hide {_per_cent(modes[DECEIVING].lies)} % of their part and "
        f"{percent(lost, 1)} of the surplus is lost; audits {SUPPRESSED / DECEPTIVE:g} times as "
        "strong leave lies of "
        f"{_per_cent(modes[SUPPRESSING].lies)} % and a loss of {percent(kept, 1)}. A centre that "
        f"knows what is exchanged finds {percent(found.recall)} of the lies."
    )


def _per_cent(shares: Array) -> str:
    return between(100.0 * shares)


def of_costs(findings: Findings, system: str) -> str:
    """Return what cooperation saves, and who gets it."""
    day = findings.days[system]
    modes = by_mode(day.bargain())
    texts = []
    for mode in (DECEIVING, SUPPRESSING):
        moved = modes[mode].gains - modes[HONEST].gains
        winners = [name for name, by in zip(day.names, moved, strict=True) if by > SMALL]
        who = listed(winners) if winners else "nobody"
        texts.append(f"where quotes are {mode}, {who} gains more")
    equal = by_mode(day.bargain(UNIFORM))
    lies = equal[DECEIVING].lies
    alike = "all lie alike and nobody gains by it" if np.ptp(lies) < 1e-9 else "lies differ"
    return (
        f"On the known day of {system} cooperation saves {amount(modes[HONEST].surplus)} "
        f"{currency()}, {percent(modes[HONEST].surplus / day.alone.sum(), 1)} of what all pay "
        f"alone. The agreed plan, with units committed, costs "
        f"{number(100.0 * (day.replayed / day.central - 1.0), 4)} % more than the best plan of "
        f"all; replayed in the simulator its cost differs by "
        f"{number(abs(day.replayed - float(day.cooperation.sum())), 6)} {currency()}. Compared "
        f"with honesty, {'; '.join(texts)}. With equal powers {alike}."
    )


def of_paper() -> str:
    """Return what of the paper's cost table is not reproduced."""
    parts = sum(ALLIANCE[name] * sign for name, sign in (("alone", 1.0), ("final", -1.0)))
    return (
        f"In the paper's table fraud costs sum up to {number(fraud_sum())}: they act as payments "
        f"among the four, and are not what is left between its cooperation and final costs. The "
        f"final costs together lie {number(unexplained())} CNY below the cooperation costs, which "
        "payments among the four cannot cause; so its gain of the alliance, "
        f"{number(parts)}, is more than its cooperation saves, "
        f"{number(ALLIANCE['alone'] - ALLIANCE['cooperation'])}. Ours sum up to 0, and that "
        "difference is not reproduced."
    )


def of_agreement(findings: Findings) -> tuple[str, ...]:
    """Return how fast participants agree, and where a residual misleads."""
    texts = []
    for system in findings.days:
        plain, count = findings.curves[system, PLAIN], microgrids(system)
        stopped, reported = plain.stopped(RESIDUAL), WELFARE[count].iterations
        if stopped is not None:
            texts.append(
                f"{count} microgrids: the paper's plain form balances powers to {RESIDUAL:g} kW "
                f"after {stopped} rounds (the paper reports {reported}), but what is said then "
                f"costs {number(100.0 * float(plain.above[stopped - 1]), 2)} % more than the best "
                "plan."
            )
        chain, when = findings.chains[system].found, _stays(findings, system)
        texts.append(
            f"{count} microgrids: cost is within {100 * CLOSE:g} % for good {when}. "
            f"The robust chain needs {len(chain.agreed.trace)} rounds, "
            f"{number(chain.seconds.agreement, 1)} s; with everyone alone before it and proofs "
            f"after it {number(chain.seconds.total, 1)} s."
        )
    return (
        *texts,
        "A residual of powers alone says little: as each in turn makes up for the others, powers "
        "balance long before prices are right.",
    )


def _stays(findings: Findings, system: str) -> str:
    """Return from which round on every manner stays close to the best plan."""
    texts = []
    for manner in MANNERS:
        found = findings.curves[system, manner]
        first = found.first()
        when = f"from round {first}" if first else f"not in {len(found.above)} rounds"
        texts.append(f"{when} ({manner})")
    return listed(texts)


def of_powers(findings: Findings) -> str:
    """Return what bargaining powers change."""
    texts = []
    for system, day in findings.days.items():
        spread = {
            name: [day.bargain(power).gains[p] for power in day.powers]
            for p, name in enumerate(day.names)
        }
        widest = max(spread, key=lambda name: float(np.ptp(spread[name])))
        texts.append(
            f"in {system} they matter most to {widest}, whose gain is {between(spread[widest])} "
            f"{currency()}"
        )
    return (
        f"Powers share the surplus and change nothing else: {'; '.join(texts)}. The paper's are "
        f"by {SHOWN}: what a participant sends into the pool raises its power, what it receives "
        "counts less. Other plans of the same cost may trade other amounts, so these powers are "
        "those of the agreed plan; marginal and Shapley powers depend on costs of coalitions alone."
    )


def of_haggling(findings: Findings) -> str:
    """Return how fast payments are found."""
    texts = []
    for system, traded in findings.trading.items():
        count = microgrids(system)
        rounds = [found.first() for found in traded.haggling.values()]
        reached = [number_ for number_ in rounds if number_ is not None]
        when = between(reached) if len(reached) == len(rounds) else "not all"
        texts.append(
            f"with {count} microgrids payments are within {100 * SETTLED:g} % of the surplus after "
            f"{when} rounds (the paper reports {BENEFITS[count].iterations} to its residual)"
        )
    return f"{_begun('; '.join(texts))}."


def of_trades(findings: Findings) -> str:
    """Return whether prices in the band carry the payments, and where they are."""
    texts = []
    for system, traded in findings.trading.items():
        price, kwh = traded.prices.per_kwh, traded.pairs.kwh
        there = np.abs(kwh) > LEAST_KWH
        low, high = traded.band
        ends = (np.isclose(price, low) | np.isclose(price, high)) & there
        can = "carry" if traded.prices.possible else "cannot carry"
        texts.append(
            f"in {system} prices between what the grid pays and what it takes {can} the payments; "
            f"{int(ends.sum())} of {int(there.sum())} are at an end of that band"
        )
    return f"{_begun('; '.join(texts))}."


def _begun(text: str) -> str:
    """Return a sentence with a capital at its beginning."""
    return text[:1].upper() + text[1:]
