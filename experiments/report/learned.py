"""What `mmg rescore` says: learners beside the references, with intervals over seeds and episodes.

Costs are tables (seeds, episodes). With z the costs of the zero of the score and o the bound, the
score of an entry is (z - c) / mean(z - o), so that the mean of all entries is the score of
`mmg bench`.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray

from baselines.agent import read_agent
from experiments.aggregates import (
    holm,
    interquartile_mean,
    paired_p_value,
    probability_of_improvement,
    two_level_difference,
    two_level_interval,
)
from experiments.plan import CURVE
from experiments.records import ORACLE, EvaluationRecord, write_atomically
from experiments.report.curves import Look, draw_curves
from experiments.statistics import Interval
from mmg_env.system import System

Array = NDArray[np.float64]

_HEAD: Final = (
    "learner (seeds)",
    "cost",
    "score (rule 0, oracle 1)",
    "IQM of score",
    "saved beside the rule",
    "saved beside MPC",
    "p, Holm",
    "better than MPC",
    "decision ms",
    "steps",
    "training s",
)


@dataclass(frozen=True, eq=False)
class Table:
    """Costs on one suite.

    Attributes:
        suite: its name.
        currency: of the costs.
        references: the policies that learners are compared with; the first is the zero.
        costs: (split, policy or learner) -> (seeds, episodes).
        decision_ms: the same -> median time of a decision.
        agents: learner -> folders of its agents.
    """

    suite: str
    currency: str
    references: tuple[str, ...]
    costs: Mapping[tuple[str, str], Array]
    decision_ms: Mapping[tuple[str, str], float]
    agents: Mapping[str, tuple[str, ...]]


def table_of(
    system: System,
    references: tuple[str, ...],
    names: Mapping[str, tuple[str, int]],
    records: Sequence[EvaluationRecord],
) -> Table:
    """Return records as tables; a learner's seeds are those that were played everywhere."""
    found: dict[tuple[str, str], dict[str, dict[int, tuple[float, float]]]] = {}
    for record in records:
        if record["status"] == "ok":
            name = names.get(record["policy"], (record["policy"], 0))[0]
            place = found.setdefault((record["split"], name), {})
            place.setdefault(record["policy"], {})[record["episode"]] = (
                record["cost"],
                record["decision_ms_p50"],
            )
    episodes = {
        split: sorted(set.intersection(*(set(e) for k, p in found.items() if k[0] == split
                                         for e in p.values())))
        for split in {key[0] for key in found}
    }  # fmt: skip
    costs = {
        key: np.array([[e[n][0] for n in episodes[key[0]]] for e in played.values()])
        for key, played in found.items()
    }
    times = {
        key: float(np.median([e[n][1] for e in played.values() for n in episodes[key[0]]]))
        for key, played in found.items()
    }
    agents: dict[str, tuple[str, ...]] = {}
    for policy, (learner, _) in names.items():
        agents[learner] = (*agents.get(learner, ()), policy)
    return Table(system.name, system.config.currency, references, costs, times, agents)


def publish(
    tables: Sequence[Table],
    folders: Sequence[Path],
    rules: Mapping[str, tuple[float, str]],
    place: Path | None,
) -> None:
    """Print the tables; with a place, write them, all costs and all curves there.

    Args:
        tables: one per suite.
        folders: of the agents, `.../SUITE/LEARNER-SEED`.
        rules: what the score's zero costs on val, and in what currency, by suite.
        place: where to write.
    """
    text = "\n\n".join(_page(table) for table in tables)
    typer.echo(text)
    if place is not None:
        page = text + "\n"
        write_atomically(place / "tables.md", lambda file: file.write_text(page, encoding="utf-8"))
        scores = pa.Table.from_pylist([row for table in tables for row in _rows(table)])
        write_atomically(place / "costs.parquet", lambda file: pq.write_table(scores, file))
        looks = [look for folder in folders for look in _looks(folder)]
        write_atomically(place / "curves.csv", lambda file: _write_looks(looks, file))
        write_atomically(place / "curves.png", lambda file: draw_curves(looks, rules, file))


def _rows(table: Table) -> list[dict[str, Any]]:
    return [
        {
            "suite": table.suite,
            "split": split,
            "policy": name,
            "seed": seed,
            "episode": episode,
            "cost": float(cost),
        }
        for (split, name), costs in table.costs.items()
        for seed, row in enumerate(costs)
        for episode, cost in enumerate(row)
    ]


def _looks(folder: Path) -> list[Look]:
    """Return an agent's evaluations on val; none where nothing was chosen by them."""
    learner, _, seed = folder.name.rpartition("-")
    if not (folder / CURVE).exists():
        return []
    with (folder / CURVE).open(encoding="utf-8") as stream:
        return [
            Look(
                folder.parent.name,
                learner,
                int(seed),
                float(row["steps"]),
                float(row["wall_s"]),
                float(row["val_cost"]),
            )
            for row in csv.DictReader(stream)
        ]


def _write_looks(looks: Sequence[Look], file: Path) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Look)])
        writer.writeheader()
        writer.writerows(asdict(look) for look in looks)


def _page(table: Table) -> str:
    """Return the tables of one suite as Markdown, a split after the other."""
    return "\n\n".join(_split_table(table, split) for split in _splits(table))


def _splits(table: Table) -> list[str]:
    return list(dict.fromkeys(split for split, _ in table.costs))


def _split_table(table: Table, split: str) -> str:
    zero, oracle = table.costs[split, table.references[0]], table.costs[split, ORACLE]
    mpc = table.costs[split, table.references[-1]]
    possible = float((zero - oracle).mean())
    learners = [name for name in table.agents if (split, name) in table.costs]
    raw = [paired_p_value(table.costs[split, name], mpc, _rng()) for name in learners]
    adjusted = dict(zip(learners, holm(raw), strict=True)) if learners else {}
    lines = [
        f"### {table.suite}, {split}, {zero.shape[1]} episodes, {table.currency}",
        "",
        "| " + " | ".join(_HEAD) + " |",
        "|" + " --- |" * len(_HEAD),
    ]
    for name in (ORACLE, *table.references, *learners):
        costs = table.costs[split, name]
        scores = (zero - costs) / possible
        spent = _training(table.agents.get(name, ()))
        words = [
            f"{name} ({len(costs)})" if name in table.agents else name,
            f"{costs.mean():,.0f}".replace(",", " "),
            _interval(two_level_interval(scores, _rng()), 2),
            f"{interquartile_mean(scores):.2f}",
            _interval(two_level_difference(zero, costs, _rng()), 0),
            _interval(two_level_difference(mpc, costs, _rng()), 0),
            f"{adjusted[name]:.4f}" if name in adjusted else "",
            f"{probability_of_improvement(-costs, -mpc):.2f}" if name in adjusted else "",
            f"{table.decision_ms[split, name]:.2f}" if name != ORACLE else "",
            *spent,
        ]
        lines.append("| " + " | ".join(words) + " |")
    return "\n".join(lines)


def _training(agents: Sequence[str]) -> tuple[str, str]:
    """Return the mean steps and seconds that a learner's agents took until they were best."""
    if not agents:
        return "", ""
    facts = [read_agent(Path(agent))[0].training for agent in agents]
    steps = float(np.mean([fact["steps"] for fact in facts]))
    seconds = float(np.mean([fact["wall_s"] for fact in facts]))
    return f"{steps:,.0f}".replace(",", " "), f"{seconds:.0f}"


def _interval(interval: Interval, digits: int) -> str:
    value, low, high = (f"{x:,.{digits}f}".replace(",", " ") for x in interval)
    return f"{value} ({low} … {high})" if np.isfinite(interval.low) else value


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)
