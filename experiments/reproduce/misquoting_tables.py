"""The tables of `mmg misquote`, what they come to in sentences, and all of it as plain data.

Source: our choice.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experiments.misquoting import Findings, Found
from experiments.report.words import NOTHING, amount, number
from experiments.reproduce.phrases import between, listed
from experiments.reproduce.tables import Cell, Head, Table
from experiments.statistics import Interval

WHOLE: Final = 0.5  # a margin from which a participant is said to misquote
HONEST: Final = 0.1  # and up to which to be all but honest


def every_table(findings: Findings) -> tuple[Table, ...]:
    """Return all tables."""
    return of_participants(findings), of_community(findings), of_cases(findings)


def of_participants(findings: Findings) -> Table:
    """Return what each has learned, what it has of it, and what it leaves, by strength."""
    money = f"{findings.currency}, mean (least to most of seeds)"
    heads = (
        Head("audits", "expected fine per hidden unit", 2),
        Head("participant"),
        Head("margin", "mean (least to most of seeds)", 2),
        Head("pays more", money),
        Head("of that fines", money),
        Head("tempted", f"{findings.currency}, all others honest"),
        Head("left to gain", money),
    )
    rows: list[tuple[Cell, ...]] = []
    for found in findings.found:
        for p, name in enumerate(findings.participants):
            margin, own, fines, left = (
                over_seeds([seed[p] for seed in values])
                for values in (found.margin, found.own, found.fines, found.left)
            )
            rows.append((_told(found), name, margin, own, fines, found.tempted[p], left))
    return Table("misquoting_participants", "Learned quotes, on held-out days", heads, tuple(rows))


def of_community(findings: Findings) -> Table:
    """Return what misquoting costs all, by strength."""
    money = f"{findings.currency}, mean (least to most of seeds)"
    heads = (
        Head("audits", "expected fine per hidden unit", 2),
        Head("real cost", money, 1),
        Head("of honest cost", "%", 3),
        Head("traded", "kWh, mean (least to most of seeds)", 1),
        Head("hidden", money),
        Head("moved", money),
    )
    rows: list[tuple[Cell, ...]] = []
    for found in findings.found:
        system = over_seeds(found.system)
        moved = [float(np.maximum(own, 0.0).sum()) for own in np.array(found.own)]
        rows.append(
            (
                _told(found),
                system,
                100.0 * system.value / findings.honest.system,
                over_seeds(found.traded_kwh),
                over_seeds(found.hidden),
                over_seeds(moved),
            )
        )
    return Table("misquoting_community", "Changes against honest days", heads, tuple(rows))


def of_cases(findings: Findings) -> Table:
    """Return the learned margins by role and kind of hour."""
    cases = [(r, k) for r in range(len(findings.roles)) for k in range(len(findings.kinds))]
    heads = (
        Head("audits", "expected fine per hidden unit", 2),
        Head("participant"),
        *(Head(findings.roles[r], f"{findings.kinds[k]} hours", 2) for r, k in cases),
    )
    rows: list[tuple[Cell, ...]] = [
        (_told(found), name, *(_or_nothing(found.by_case[p][r][k]) for r, k in cases))
        for found in findings.found
        for p, name in enumerate(findings.participants)
    ]
    return Table("misquoting_cases", "Mean margins by role and hour", heads, tuple(rows))


def words(findings: Findings) -> tuple[str, ...]:
    """Return the findings in sentences."""
    return tuple(
        [
            f"Honest, the participants of {findings.system} cost {amount(findings.honest.system)} "
            f"{findings.currency} an episode and trade {amount(findings.honest.traded_kwh)} kWh."
            f" If all quote in full (margin 1), they pay "
            f"{between(findings.all_full, 1)} {findings.currency} more each.",
            *(_sentence(findings, found) for found in findings.found),
        ]
    )


def _sentence(findings: Findings, found: Found) -> str:
    """Say what became of one strength."""
    margins, own, left = (
        np.mean(values, axis=0) for values in (found.margin, found.own, found.left)
    )
    changed = 100.0 * float(np.mean(found.system)) / findings.honest.system
    lying, truthful, gaining = (
        _who(findings.participants, true)
        for true in (margins >= WHOLE, margins <= HONEST, own < 0.0)
    )
    return (
        f"Audits of {found.strength:g}: margins of {WHOLE:g} or more: {lying}; of {HONEST:g} or "
        f"less: {truthful}. Less is paid than among the honest by: {gaining}. Real cost changes by "
        f"{number(changed, 2)} %. Alone among the honest, one could gain up to "
        f"{amount(max(found.tempted))} {findings.currency}; a best response to what was learned "
        f"would bring up to {amount(float(left.max()))} more."
    )


def plain(findings: Findings) -> dict[str, Any]:
    """Return findings as dictionaries, lists and numbers; None where there is no number."""
    inner: dict[str, Any] = _without_nan(asdict(findings))
    return inner | {"size": findings.size._asdict()}


def _without_nan(value: Any) -> Any:
    """Return nested containers with None for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def over_seeds(values: Sequence[float]) -> Interval:
    """Return the mean of some seeds, the least and the most."""
    return Interval(float(np.mean(values)), float(min(values)), float(max(values)))


def _told(found: Found) -> str:
    return f"{found.strength:g}"


def _who(names: Sequence[str], true: NDArray[np.bool_]) -> str:
    found = [name for name, is_so in zip(names, true, strict=True) if is_so]
    return listed(found) if found else "none"


def _or_nothing(value: float) -> Cell:
    return NOTHING if np.isnan(value) else value
