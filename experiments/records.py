"""Evaluation records: one flat row per (suite, split, episode, policy), one Parquet file each.

A record is written under a temporary name and renamed, so a file that exists is whole. The first
episode's trajectory is kept too (`.npz`, in a folder of its own): the report draws a day from it.
"""

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.settlement import SettlementConfig
from mmg_env.errors import InputError
from mmg_env.kpis import INDICATORS
from mmg_env.layout import L
from mmg_env.splits import sample_episode
from mmg_env.system import System
from mmg_env.trajectory import Trajectory

EvaluationRecord = dict[str, Any]

ORACLE: Final = "oracle"
DRAWN_EPISODE: Final = 0
"""The episode whose trajectories are kept for the report."""
TEMPORARY: Final = ".tmp"
_ARRAYS: Final = ("requests", "states", "flows", "ledger", "decision_ms")


@dataclass(frozen=True)
class Cell:
    """The key of one record: one policy on one episode."""

    suite: str
    split: str
    episode: int
    policy: str

    def file(self, folder: Path) -> Path:
        """Return where the cell's record lies in a results folder."""
        return self._place(folder / "records", ".parquet")

    def trajectory_file(self, folder: Path) -> Path:
        """Return where its trajectory lies: not among the records, which read as one table."""
        return self._place(folder / "trajectories", ".npz")

    def _place(self, folder: Path, suffix: str) -> Path:
        parts = [_file_name(part) for part in (self.suite, self.split, self.policy)]
        return folder.joinpath(*parts, f"{self.episode:05d}{suffix}")

    def __str__(self) -> str:
        """Return the key in words."""
        return f"{self.policy} on {self.suite}, {self.split} episode {self.episode}"


@dataclass(frozen=True)
class Origin:
    """What a record's numbers follow from, besides its key; other numbers need another origin.

    Attributes:
        config_sha256: hash of the system's resolved configuration, and of how it is settled if so.
        code_sha256: hash of the source of the simulator and the baselines, data included.
        mmg_version: version of the package.
    """

    config_sha256: str
    code_sha256: str
    mmg_version: str


def origin_of(
    system: System, policy: str = "", settlement: SettlementConfig | None = None
) -> Origin:
    """Return the origin of records that are made now for a system; an agent's weights are code."""
    from baselines import POLICIES
    from baselines.agent import agent_folder, fingerprint

    text = json.dumps(system.config.model_dump(mode="json"), sort_keys=True)
    players = [policy]
    if settlement is not None:
        text += settlement.words
        players.append(settlement.alone)
    config_sha256 = hashlib.sha256(text.encode()).hexdigest()
    code_sha256 = _code_sha256()
    for player in players:
        if player not in ("", ORACLE, *POLICIES):
            both = code_sha256 + fingerprint(agent_folder(player))
            code_sha256 = hashlib.sha256(both.encode()).hexdigest()
    return Origin(config_sha256, code_sha256, package_version("mmg-env"))


def package_version(name: str) -> str:
    """Return the version of an installed package, or say that there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


@lru_cache(maxsize=1)
def _code_sha256() -> str:
    """Hash the source files of the packages that numbers depend on, and the embedded data.

    Without it a run would silently go on with the records of a policy as it was before an edit.
    """
    import baselines
    import mmg_env

    digest = hashlib.sha256()
    for package in (mmg_env, baselines):
        root = Path(str(package.__file__)).parent
        for file in sorted([*root.rglob("*.py"), *root.rglob("provenance.json")]):
            digest.update(file.relative_to(root.parent).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def success(
    cell: Cell, origin: Origin, indicators: Mapping[str, float], trajectory: Trajectory
) -> EvaluationRecord:
    """Return the record of an episode that was lived through."""
    times = trajectory.decision_ms[np.isfinite(trajectory.decision_ms)]
    p50, p95 = np.percentile(times, [50, 95]) if len(times) else (np.nan, np.nan)
    return {
        **_key_columns(cell),
        **{name: float(value) for name, value in indicators.items()},
        "decision_ms_p50": float(p50),
        "decision_ms_p95": float(p95),
        "bound": False,
        "objective": np.nan,
        "status": "ok",
        "traceback": "",
        **vars(origin),
    }


def failure(cell: Cell, origin: Origin, traceback: str) -> EvaluationRecord:
    """Return the record of a cell that raised: its traceback, and NaN for every amount."""
    return {
        **_key_columns(cell),
        **dict.fromkeys(["cost", *L.names(), *INDICATORS], np.nan),
        **dict.fromkeys(["decision_ms_p50", "decision_ms_p95"], np.nan),
        "bound": False,
        "objective": np.nan,
        "status": "failed",
        "traceback": traceback,
        **vars(origin),
    }


def _key_columns(cell: Cell) -> EvaluationRecord:
    return dict(vars(cell))


def write_record(folder: Path, record: EvaluationRecord) -> Path:
    """Write a record as one row; the file appears whole or not at all."""
    cell = Cell(*(record[name] for name in ("suite", "split", "episode", "policy")))
    table = pa.Table.from_pylist([record])
    file = cell.file(folder)
    write_atomically(file, lambda temporary: pq.write_table(table, temporary))
    return file


def read_record(file: Path) -> EvaluationRecord:
    """Read one record.

    Raises:
        InputError: the file is not a record.
    """
    try:
        # One row, so memory mapping and threads would only cost.
        rows: list[EvaluationRecord] = pq.ParquetFile(file).read(use_threads=False).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{file}: not a record: {error}") from None
    if len(rows) != 1 or "status" not in rows[0]:
        raise InputError(f"{file}: not a record; move it away, or choose another folder")
    return rows[0]


def read_records(folder: Path, cells: list[Cell]) -> Iterator[EvaluationRecord]:
    """Yield the records of those cells that have one."""
    for cell in cells:
        file = cell.file(folder)
        if file.exists():
            yield read_record(file)


def is_done(folder: Path, cell: Cell, origin: Origin) -> bool:
    """Say whether a cell has a record that stands: it succeeded, and its origin is the same."""
    file = cell.file(folder)
    if not file.exists():
        return False
    if cell.episode == DRAWN_EPISODE and not cell.trajectory_file(folder).exists():
        return False
    try:
        record = read_record(file)
    except InputError:
        return False  # damaged from outside: it is made again
    return record["status"] == "ok" and is_current(record, origin)


def is_current(record: EvaluationRecord, origin: Origin) -> bool:
    """Say whether a record was made from this configuration, code and version."""
    return all(record.get(name) == value for name, value in vars(origin).items())


def write_trajectory(folder: Path, cell: Cell, trajectory: Trajectory) -> Path:
    """Keep what happened in one episode, as plain arrays."""
    file = cell.trajectory_file(folder)
    arrays = {name: getattr(trajectory, name) for name in _ARRAYS}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            np.savez_compressed(stream, **arrays)

    write_atomically(file, write)
    return file


def read_trajectory(folder: Path, cell: Cell, system: System) -> Trajectory | None:
    """Return what was kept of an episode, or None if nothing was."""
    file = cell.trajectory_file(folder)
    if not file.exists():
        return None
    with np.load(file, allow_pickle=False) as kept:
        arrays = {name: kept[name] for name in _ARRAYS}
    return Trajectory(system, sample_episode(system, cell.split, cell.episode), **arrays)


def write_atomically(file: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file in the same folder, then rename it.

    Raises:
        InputError: the file cannot be written.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror or error}") from None


def sweep(folder: Path) -> None:
    """Remove the temporary files of runs that were killed."""
    for file in (folder / "records").rglob(f".*{TEMPORARY}"):
        file.unlink(missing_ok=True)


def _file_name(text: str) -> str:
    """Return a name that is safe in a path and differs where the text does."""
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", text):
        return text
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", text)
    return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
