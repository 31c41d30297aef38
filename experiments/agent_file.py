"""Writing agents, the folders that `baselines.agent` reads, and the curves of their training."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from baselines.agent import FACTS, WEIGHTS, Facts, Learned
from experiments.records import write_atomically


def write_agent(folder: Path, facts: Facts, learned: Learned) -> None:
    """Write an agent's weights, then its page; each file appears whole or not at all."""
    arrays: dict[str, Any] = dict(learned.arrays())

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            np.savez_compressed(stream, **arrays)

    write_atomically(folder / WEIGHTS, write)
    text = facts.model_dump_json(indent=1) + "\n"
    write_atomically(folder / FACTS, lambda file: file.write_text(text, encoding="utf-8"))


def write_curve(file: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write what was found on val in the course of training, a row per evaluation."""

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(file, write)
