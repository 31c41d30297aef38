"""The command `mmg compare`: policies against one another, episode by episode, from records.

It reads what `mmg bench` has written and plays nothing. All policies have met the same episodes;
so with c and d their costs, each difference has a paired bootstrap interval::

    mean (c - d),   CVaR95(c) - CVaR95(d),   mean unserved energy likewise

Source: our choice; the intervals are those of `statistics.py`.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table

from experiments.bench import check_split, show
from experiments.records import Cell, EvaluationRecord, is_current, origin_of, read_record
from experiments.report.words import amount, number, spread
from experiments.statistics import Interval, cvar_difference, mean_difference
from mmg_env.errors import InputError
from mmg_env.system import System, load_system

Array = NDArray[np.float64]
Records = dict[str, dict[int, EvaluationRecord]]

_SEED: Final = 0  # of the bootstrap, the same for each pair, so that no pair depends on the others


class Pair(NamedTuple):
    """How one policy differs from another on the same episodes.

    Attributes:
        policy: the one.
        other: the other.
        cost: mean cost of the one less that of the other, currency per episode.
        cvar: the same of the mean of the worst 5 % of episodes, currency.
        unserved: the same of load and heat not served, kWh per episode.
    """

    policy: str
    other: str
    cost: Interval
    cvar: Interval
    unserved: Interval


def compare(
    suite: Annotated[str, typer.Option(help="Suite or system: a name, or a file.")],
    policies: Annotated[str, typer.Option(help="Two names or more, with commas.")],
    out: Annotated[str, typer.Option(help="Folder of results of mmg bench.")] = "results/default",
    split: Annotated[str, typer.Option(help="train, val, test or shift.")] = "test",
) -> None:
    """Compare policies in pairs on the episodes that they have all played; plays nothing."""
    system = load_system(suite)
    check_split(system, split)
    names = list(dict.fromkeys(name.strip() for name in policies.split(",") if name.strip()))
    if len(names) < 2:
        raise InputError(
            f"--policies: {policies!r} names {len(names)}; a comparison needs two policies or more"
        )
    found = {name: _records(Path(out), Cell(system.name, split, 0, name)) for name in names}
    for line in _remarks(found, system):
        typer.echo(line, err=True)
    episodes = _common(found)
    pairs = [differ(found, episodes, one, other) for one, other in combinations(names, 2)]
    title = f"{system.name}, {split}, {len(episodes)} episodes"
    show(_table(title, system.config.currency, pairs))


def _records(folder: Path, cell: Cell) -> dict[int, EvaluationRecord]:
    """Return the records of one policy by episode.

    Raises:
        InputError: there are none.
    """
    place = cell.file(folder).parent
    records = [read_record(file) for file in sorted(place.glob("[!.]*.parquet"))]
    if not records:
        what = f"{cell.policy} on {cell.suite}, {cell.split}"
        raise InputError(f"{folder}: no records of {what}; mmg bench --out {folder} makes some")
    return {record["episode"]: record for record in records}


def _remarks(found: Records, system: System) -> Iterator[str]:
    """Say which records are left out, and which stem from another state of things.

    Raises:
        InputError: records stem from different configurations.
    """
    every = [record for records in found.values() for record in records.values()]
    if len({record["config_sha256"] for record in every}) > 1:
        raise InputError(
            f"suite {system.name}: the records stem from different configurations of it; "
            "mmg bench makes those anew that are not the present one's"
        )
    failed = sum(record["status"] != "ok" for record in every)
    if failed:
        yield f"{failed} records failed; their episodes are left out for all"
    origins = {name: origin_of(system, name) for name in found}
    stale = sum(
        not is_current(record, origins[name])
        for name, records in found.items()
        for record in records.values()
    )
    if stale:
        yield f"{stale} records stem from another configuration, code or version than the present"


def _common(found: Records) -> list[int]:
    """Return the episodes that all policies have played without failing.

    Raises:
        InputError: there are none.
    """
    sound = [
        {episode for episode, record in records.items() if record["status"] == "ok"}
        for records in found.values()
    ]
    episodes = sorted(set.intersection(*sound))
    if not episodes:
        raise InputError(f"policies: {', '.join(found)} have no episode in common that all played")
    return episodes


def differ(found: Records, episodes: Sequence[int], policy: str, other: str) -> Pair:
    """Return how two policies differ.

    Args:
        found: records by policy and episode.
        episodes: those that count.
        policy: the one.
        other: the other.
    """

    def column(name: str, *terms: str) -> Array:
        return np.array([sum(found[name][i][term] for term in terms) for i in episodes])

    costs = [column(name, "cost") for name in (policy, other)]
    unserved = [column(name, "unserved_kwh", "unserved_heat_kwh") for name in (policy, other)]
    return Pair(
        policy,
        other,
        mean_difference(costs[0], costs[1], np.random.default_rng(_SEED)),
        cvar_difference(costs[0], costs[1], np.random.default_rng(_SEED)),
        mean_difference(unserved[0], unserved[1], np.random.default_rng(_SEED)),
    )


def _table(title: str, currency: str, pairs: Sequence[Pair]) -> Table:
    """Return the differences with their 95 % intervals."""
    grid = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    grid.add_column("difference\n95 %", no_wrap=True)
    for head in (f"cost\n{currency}", f"CVaR95\n{currency}", "unserved\nkWh"):
        grid.add_column(head, justify="right", no_wrap=True)
    for pair in pairs:
        texts = [f"{pair.policy} \u2212 {pair.other}"]
        for found in (pair.cost, pair.cvar, pair.unserved):
            write = amount if abs(found.value) >= 100.0 else _fine
            texts.append(f"{write(found.value)}\n{spread(found, write)}".strip())
        grid.add_row(*texts)
    return grid


def _fine(value: float) -> str:
    return number(value, 2)
