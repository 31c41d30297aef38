"""What `mmg rescore` says: learners beside the references, with intervals over seeds and episodes.

With z the costs of the zero of the score and o the bound, a score is that of `mmg bench`, over all
seeds and episodes::

    score = sum(z - c) / sum(z - o)
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from baselines.agent import read_agent
from experiments.aggregates import (
    holm,
    improvement_interval,
    interquartile_mean,
    paired_p_value,
    two_level_difference,
    two_level_ratio,
)
from experiments.plan import CURVE
from experiments.records import ORACLE, write_atomically
from experiments.report.curves import Look, Zero, colours_of, draw_curves, draw_profiles
from experiments.report.table import Table
from experiments.report.words import amount, number, spread
from experiments.statistics import Interval


def publish(
    tables: Sequence[Table], folders: Sequence[Path], zeros: Mapping[str, Zero], place: Path | None
) -> None:
    """Print the tables; with a place, write them, all costs, all curves and the pictures there.

    Args:
        tables: one per suite and split, a suite's main split first.
        folders: of the agents, `.../SUITE/LEARNER-SEED`.
        zeros: what the score's zero costs on val, by suite.
        place: where to write.
    """
    text = "\n\n".join("\n".join(_page(table)) for table in tables)
    typer.echo(text)
    if place is None or not tables:
        return
    page = text + "\n"
    write_atomically(place / "tables.md", lambda file: file.write_text(page, encoding="utf-8"))
    costs = pa.Table.from_pylist([row for table in tables for row in _rows(table)])
    write_atomically(place / "costs.parquet", lambda file: pq.write_table(costs, file))
    looks = [look for folder in folders for look in _looks(folder)]
    write_atomically(place / "curves.csv", lambda file: _write_looks(looks, file))
    colours = colours_of(learner for table in tables for learner in table.agents)
    write_atomically(place / "curves.png", lambda file: draw_curves(looks, zeros, colours, file))
    first = {table.suite: table for table in reversed(tables)}
    main = [first[suite] for suite in zeros]
    write_atomically(place / "profiles.png", lambda file: draw_profiles(main, colours, file))


def _rows(table: Table) -> Iterator[dict[str, Any]]:
    for name, played in table.played.items():
        for seed, costs in zip(played.seeds, played.costs, strict=True):
            for episode, cost in zip(table.episodes, costs, strict=True):
                yield {
                    "suite": table.suite,
                    "split": table.split,
                    "policy": name,
                    "seed": seed,
                    "episode": episode,
                    "cost": float(cost),
                }


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


def _page(table: Table) -> Iterator[str]:
    """Yield the lines of a table as Markdown, and below it what does not count."""
    zero, against = table.references[0], table.references[-1]
    columns = (
        "learner (seeds)",
        "cost",
        f"score ({zero} 0, oracle 1)",
        "IQM of score",
        f"saved beside {zero}",
        f"saved beside {against}",
        "p, Holm",
        f"better than {against}",
        "decision ms",
        "steps",
        "training s",
    )
    yield f"### {table.suite}, {table.split}, {len(table.episodes)} episodes, {table.currency}"
    yield ""
    yield "| " + " | ".join(columns) + " |"
    yield "|" + " --- |" * len(columns)
    adjusted = _p_values(table)
    for name in table.played:
        yield "| " + " | ".join(_cells(table, name, adjusted.get(name))) + " |"
    if table.left_out:
        yield ""
        yield f"Left out: {'; '.join(table.left_out)}."


def _p_values(table: Table) -> dict[str, float]:
    """Return by learner how well its difference from the last reference is explained by chance."""
    against = table.played[table.references[-1]].costs
    raw = [paired_p_value(table.played[name].costs, against, _rng()) for name in table.learners]
    return dict(zip(table.learners, holm(raw).tolist(), strict=True))


def _cells(table: Table, name: str, p_value: float | None) -> tuple[str, ...]:
    """Return the words of a row; what is said of learners alone is empty without p-value."""
    costs, decision_ms = table.played[name].costs, table.played[name].decision_ms
    compared = (table.references[0], ORACLE, table.references[-1])
    zero, oracle, against = (table.played[policy].costs for policy in compared)
    better = improvement_interval(-costs, -against, _rng())
    return (
        name if p_value is None else f"{name} ({len(costs)})",
        amount(float(costs.mean())),
        _interval(two_level_ratio(zero - costs, (zero - oracle)[0], _rng()), number),
        number(interquartile_mean(table.scores[name])),
        _interval(two_level_difference(zero, costs, _rng()), amount),
        _interval(two_level_difference(against, costs, _rng()), amount),
        "" if p_value is None else number(p_value, 4),
        "" if p_value is None else _interval(better, number),
        "" if name == ORACLE else number(decision_ms),
        *_training(table, name),
    )


def _training(table: Table, name: str) -> tuple[str, str]:
    """Return the mean steps and seconds that a learner's agents took until they were best."""
    if name not in table.agents:
        return "", ""
    folders = [table.agents[name][seed] for seed in table.played[name].seeds]
    facts = [read_agent(Path(folder))[0].training for folder in folders]
    steps, seconds = (float(np.mean([fact[key] for fact in facts])) for key in ("steps", "wall_s"))
    return amount(steps), amount(seconds)


def _interval(interval: Interval, write: Callable[[float], str]) -> str:
    bounds = spread(interval, write)
    return write(interval.value) + (f" ({bounds})" if bounds else "")


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)
