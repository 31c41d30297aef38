"""The command `mmg simulate`: one policy through one episode, as a ledger and a picture."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer

from experiments.bench import check_policy, check_split
from experiments.engine import foresee, live_through
from experiments.records import ORACLE, Cell, write_atomically
from mmg_env.layout import MEMBER_SERIES, REAL_COSTS, F, L, P, S
from mmg_env.system import load_system
from mmg_env.trajectory import Trajectory

LONGEST_DAYS: Final = 14
"""Days that a picture holds; of a longer episode it shows the first week."""


def simulate(
    suite: Annotated[str, typer.Option(help="Suite or system: a name, or a file.")],
    policy: Annotated[str, typer.Option(help="A policy's name, or oracle.")],
    out: Annotated[str, typer.Option(help="A folder, or the files' name without its ending.")],
    episode: Annotated[int, typer.Option(min=0, help="Number of the episode.")] = 0,
    split: Annotated[str, typer.Option(help="train, val, test or shift.")] = "test",
) -> None:
    """Play one episode; write its ledger (CSV) and a picture (PNG)."""
    system = load_system(suite)
    check_split(system, split)
    check_policy(policy, system)
    cell = Cell(system.name, split, episode, policy)
    trajectory = foresee(system, cell)[0] if policy == ORACLE else live_through(system, cell)
    base = output_base(Path(out), out.endswith("/"), cell)
    for file in (write_ledger(base, trajectory), write_picture(base, trajectory, cell)):
        typer.echo(file)
    typer.echo(f"{cell}: cost {trajectory.cost:.2f} {system.config.currency}")


def output_base(out: Path, is_folder: bool, cell: Cell) -> Path:
    """Return the path of both files without their endings.

    An ending .csv or .png is dropped; a folder gets names made of suite, policy and episode.
    """
    if is_folder or out.is_dir():
        return out / f"{cell.suite}_{cell.policy}_{cell.split}{cell.episode}"
    return out.with_suffix("") if out.suffix in (".csv", ".png") else out


def write_ledger(base: Path, trajectory: Trajectory) -> Path:
    """Write one row per step and participant: inputs, flows, money; units in the header."""
    file = base.with_name(f"{base.name}.csv")

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(header(trajectory.system.config.currency))
            writer.writerows(ledger_rows(trajectory))

    write_atomically(file, write)
    return file


def header(currency: str) -> list[str]:
    """Return the names of the ledger's columns; `cost` is the sum of the real terms."""
    prices = [f"price_{kind}_{currency}_per_kwh" for kind in ("buy", "sell")]
    money = [f"{term}_{currency}" for term in ("cost", *L.names())]
    stored = ["energy_after_kwh", "soc_after"]
    return ["step", "time", "participant", *MEMBER_SERIES, *prices, *stored, *F.names(), *money]


def ledger_rows(trajectory: Trajectory) -> Iterator[list[object]]:
    """Yield the rows of the ledger in the order of `header`."""
    system, episode = trajectory.system, trajectory.episode
    series = [getattr(episode, name) for name in MEMBER_SERIES]
    capacity = trajectory.state(S.capacity_kwh)
    has_battery = system.column(P.capacity_kwh) > 0.0
    members = len(system.members)
    for t in range(len(trajectory.flows)):
        moment = episode.start + np.timedelta64(round(t * system.dt_h * 60.0), "m")
        time = str(np.datetime_as_string(moment, unit="m"))
        for p, name in enumerate(system.participants):
            inputs = [float(values[t, p]) if p < members else "" for values in series]
            prices = [float(episode.price_buy[t]), float(episode.price_sell[t])]
            energy = float(trajectory.energy_kwh[t + 1, p])
            stored = [energy, energy / float(capacity[t + 1, p])] if has_battery[p] else ["", ""]
            money = trajectory.ledger[t, p]
            cost = float(money[: len(REAL_COSTS)].sum())
            flows = trajectory.flows[t, p].tolist()
            yield [t, time, name, *inputs, *prices, *stored, *flows, cost, *money.tolist()]


def write_picture(base: Path, trajectory: Trajectory, cell: Cell) -> Path:
    """Draw the episode, or the first week of one that is too long for a picture."""
    # Here, because matplotlib is slow to import and no other command needs it.
    from mmg_env.render import draw_steps

    per_day = trajectory.system.steps_per_day
    days = len(trajectory.flows) // per_day
    shown = days if days <= LONGEST_DAYS else 7
    title = str(cell) if shown == days else f"{cell}: the first week of {days} days"
    figure = draw_steps(trajectory, 0, shown * per_day, title)
    file = base.with_name(f"{base.name}.png")
    write_atomically(file, lambda temporary: figure.savefig(temporary, format="png", dpi=150))
    return file
