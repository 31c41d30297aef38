"""Where a training stands, in one file, so that it is whole or not there.

It holds tensors, numbers and text only, and nothing is unpickled to go on: parameters and
optimisers, what a learner keeps beside them, the spread of the rewards, the price of a constraint,
the replay buffer, and how far the training has come.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.save_util import recursive_getattr

from experiments.records import write_atomically
from experiments.sb3_vec import multiplier_of

REPLAY: Final = ("observations", "next_observations", "actions", "rewards", "dones")
REWARDS: Final = ("mean", "var", "count")
PRICE: Final = ("price", "suffered", "episodes")


def save_checkpoint(file: Path, model: BaseAlgorithm, progress: Mapping[str, Any]) -> None:
    """Keep a model, what it learns from, and how far it has come."""
    normaliser: Any = model.get_vec_normalize_env()
    state = {
        "progress": json.dumps(progress),
        "parameters": model.get_parameters(),
        "variables": {name: recursive_getattr(model, name) for name in _variables(model)},
        "rewards": {
            name: torch.as_tensor(np.asarray(getattr(normaliser.ret_rms, name), np.float64))
            for name in REWARDS
        },
    }
    multiplier = multiplier_of(model.get_env())
    if multiplier is not None:
        state["price"] = {name: getattr(multiplier, name) for name in PRICE}
    if isinstance(model, OffPolicyAlgorithm):
        state["replay"] = _replay(model)
    write_atomically(file, lambda temporary: torch.save(state, temporary))


def load_checkpoint(file: Path, model: BaseAlgorithm) -> dict[str, Any]:
    """Bring a fresh model to where a checkpoint stands; return how far that is."""
    state = torch.load(file, weights_only=True)
    model.set_parameters(state["parameters"])
    for name, value in state["variables"].items():
        recursive_getattr(model, name).data = value.data
    normaliser: Any = model.get_vec_normalize_env()
    for name, value in state["rewards"].items():
        setattr(normaliser.ret_rms, name, value.numpy() if value.ndim else float(value))
    multiplier = multiplier_of(model.get_env())
    if multiplier is not None:
        for name, value in state["price"].items():
            setattr(multiplier, name, value)
    if isinstance(model, OffPolicyAlgorithm):
        _refill(model, state["replay"])
    progress: dict[str, Any] = json.loads(state["progress"])
    model.num_timesteps = progress["steps"]
    return progress


def _variables(model: BaseAlgorithm) -> list[str]:
    """Return the names of the tensors that a learner keeps beside its networks."""
    return list(model._get_torch_save_params()[1])


def _replay(model: OffPolicyAlgorithm) -> dict[str, Any]:
    buffer: Any = model.replay_buffer
    end = buffer.buffer_size if buffer.full else buffer.pos
    kept = {name: torch.from_numpy(getattr(buffer, name)[:end]) for name in REPLAY}
    return kept | {"pos": buffer.pos, "full": buffer.full}


def _refill(model: OffPolicyAlgorithm, kept: Mapping[str, Any]) -> None:
    buffer: Any = model.replay_buffer
    for name in REPLAY:
        getattr(buffer, name)[: len(kept[name])] = kept[name].numpy()
    buffer.pos, buffer.full = kept["pos"], kept["full"]
