"""Writing agents: the folders that `baselines.agent` reads."""

from pathlib import Path
from typing import Any

import numpy as np

from baselines.agent import FACTS, WEIGHTS, Facts, Network
from experiments.records import write_atomically


def write_agent(folder: Path, facts: Facts, network: Network) -> None:
    """Write an agent's weights, then its page; each file appears whole or not at all."""
    arrays: dict[str, Any] = {}
    for k, (weight, bias) in enumerate(network.layers):
        arrays |= {f"weight_{k}": weight, f"bias_{k}": bias}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            np.savez_compressed(stream, **arrays)

    write_atomically(folder / WEIGHTS, write)
    text = facts.model_dump_json(indent=1) + "\n"
    write_atomically(folder / FACTS, lambda file: file.write_text(text, encoding="utf-8"))
