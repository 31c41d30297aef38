"""The grid of cells: run in parallel, resumed by key, each cell leaving one record.

A cell that raises leaves its traceback as its record and the grid goes on. A worker process that
dies takes its pool with it; the cells that were left then run one at a time, each in a process of
its own, so that the one to blame is found and recorded. One folder takes one grid at a time.
"""

import fcntl
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import joblib
import numpy as np

from experiments.records import (
    DRAWN_EPISODE,
    ORACLE,
    Cell,
    EvaluationRecord,
    Origin,
    failure,
    is_done,
    success,
    sweep,
    write_record,
    write_trajectory,
)
from experiments.settlement import SettlementConfig, accounts, paid
from mmg_env.env import CommunityEnv
from mmg_env.errors import InputError
from mmg_env.kpis import kpis
from mmg_env.rollout import rollout
from mmg_env.splits import sample_episode
from mmg_env.system import System, load_system
from mmg_env.trajectory import Array, Trajectory

LOCK: Final = ".lock"
REPLAY_TOLERANCE: Final = 1e-5
"""Most that a replayed plan may cost more or less, as a share of the sum of its |terms|."""


@dataclass(frozen=True)
class Task:
    """One cell to run: its key, its system's source, its record's place, and how it is paid for."""

    cell: Cell
    source: str
    folder: Path
    origin: Origin
    settlement: SettlementConfig | None = None


class Outcome(NamedTuple):
    """What became of a cell: `ok` or `failed`, the last line of its traceback, and its time."""

    cell: Cell
    status: str
    reason: str
    seconds: float


def pending(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks without a record that stands.

    Failed cells are among them, and those whose record was made from another configuration, code
    or version: to keep it would mix two sets of numbers in one table.
    """
    return [task for task in tasks if not is_done(task.folder, task.cell, task.origin)]


def run_grid(
    tasks: Sequence[Task], workers: int, work: "Callable[[Task], Outcome] | None" = None
) -> Iterator[Outcome]:
    """Run tasks and yield what became of each as it ends.

    Args:
        tasks: what to run.
        workers: processes; with 1 everything runs in this one.
        work: runs a task; `evaluate` unless a test puts another in its place.
    """
    work = evaluate if work is None else work
    left = {task.cell: task for task in tasks}
    try:
        for outcome in _parallel(work, tasks, workers):
            del left[outcome.cell]
            yield outcome
    except BrokenProcessPool:
        for task in left.values():
            yield _isolated(work, task)


def _parallel(
    work: Callable[[Task], Outcome], tasks: Sequence[Task], workers: int
) -> Iterator[Outcome]:
    workers = max(1, min(workers, len(tasks)))
    if workers == 1:
        yield from map(work, tasks)
        return
    # One thread each: the cells are the parallelism, and solvers would fight for the cores.
    with joblib.parallel_config(backend="loky", n_jobs=workers, inner_max_num_threads=1):
        pool = joblib.Parallel(
            return_as="generator_unordered", batch_size=1, pre_dispatch="2 * n_jobs"
        )
        yield from pool(joblib.delayed(work)(task) for task in tasks)


def _isolated(work: Callable[[Task], Outcome], task: Task) -> Outcome:
    """Run one task in a process of its own; if that dies, record it."""
    try:
        # Two, because joblib takes one worker to mean this very process.
        pool = joblib.Parallel(n_jobs=2, backend="loky")
        outcomes: list[Outcome] = pool([joblib.delayed(work)(task)])
        return outcomes[0]
    except BrokenProcessPool as error:
        sentence = f"the process died: {str(error).splitlines()[0]}"
        write_record(task.folder, failure(task.cell, task.origin, sentence))
        return Outcome(task.cell, "failed", sentence, float("nan"))


def evaluate(task: Task) -> Outcome:
    """Run one cell and write its record; whatever a policy raises becomes part of it."""
    began = time.perf_counter()
    try:
        record = _measure(task)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - recorded, and the grid goes on
        record = failure(task.cell, task.origin, traceback.format_exc())
        reason = f"{type(error).__name__}: {error}"
    else:
        reason = ""
    write_record(task.folder, record)
    return Outcome(task.cell, record["status"], reason, time.perf_counter() - began)


def _measure(task: Task) -> EvaluationRecord:
    """Live through the episode of a task and return its record."""
    cell, system = task.cell, _system(task.source)
    columns: EvaluationRecord = {}
    if cell.policy == ORACLE:
        trajectory, columns = foresee(system, cell)
    else:
        trajectory = live_through(system, cell)
    if task.settlement is not None:
        alone = _alone_costs(task.source, cell.split, cell.episode, task.settlement.alone)
        found = paid(task.settlement, trajectory, alone, _quoting(system, cell.policy))
        trajectory, columns = found.trajectory, columns | accounts(found)
    if cell.episode == DRAWN_EPISODE:
        write_trajectory(task.folder, cell, trajectory)
    return success(cell, task.origin, kpis(system, trajectory), trajectory) | columns


@lru_cache(maxsize=64)  # the cells of an episode follow one another
def _alone_costs(source: str, split: str, episode: int, policy: str) -> Array:
    """Return what an episode costs each participant where nobody trades, (participants,)."""
    system = _without_trade(source)
    cell = Cell(system.name, split, episode, policy)
    played = foresee(system, cell)[0] if policy == ORACLE else live_through(system, cell)
    return played.costs


def _quoting(system: System, policy: str) -> object:
    """Return a policy that may say how it quotes; the oracle has nothing to say."""
    from baselines import policy_named

    return None if policy == ORACLE else policy_named(policy)(system)


def live_through(system: System, cell: Cell) -> Trajectory:
    """Return what a policy makes of an episode; a fresh policy, so that no cell sees another."""
    from baselines import policy_named

    env = CommunityEnv(system, split=cell.split)
    policy = policy_named(cell.policy)(system)
    return rollout(env, policy, options={"episode": cell.episode})


def foresee(system: System, cell: Cell) -> tuple[Trajectory, EvaluationRecord]:
    """Return the oracle's plan, stepped through the simulator, and the bound that it proves."""
    from baselines import perfect_foresight, replay

    episode = sample_episode(system, cell.split, cell.episode)
    solution = perfect_foresight(system, episode)
    trajectory = replay(system, episode, solution.plan)
    # Optimisers take capacity as constant, so with fade the two may differ.
    allowed = REPLAY_TOLERANCE * float(np.abs(trajectory.ledger).sum())
    if not system.fade and abs(trajectory.cost - solution.objective) > allowed:
        text = f"{solution.objective} in the model, {trajectory.cost} in the simulator"
        raise RuntimeError(f"the oracle's plan costs {text}")
    columns = {"cost": solution.bound, "objective": solution.objective, "bound": True}
    return trajectory, columns


@lru_cache(maxsize=1)
def _system(source: str) -> System:
    return load_system(source)


@lru_cache(maxsize=1)
def _without_trade(source: str) -> System:
    from baselines.bargaining.settlement import alone

    return alone(_system(source))


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a results folder for one grid, and sweep up what a killed one left.

    The kernel drops the lock with the process that holds it, however that ends, so a lock is
    never stale.

    Raises:
        InputError: the folder cannot be written, or another grid is at work in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            sentence = f"another run (process {holder}) is writing here; wait for it"
            raise InputError(f"{folder}: {sentence}, or choose another --out") from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        sweep(folder)
        yield
