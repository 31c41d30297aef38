"""Models of stable-baselines3: how one is made, what its actor is, and how it is kept.

A checkpoint holds tensors and numbers only, so that nothing has to be unpickled to go on.
"""

import json
import zipfile
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from sb3_contrib import TQC
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import nn

from baselines.agent import Network
from baselines.team import Team
from experiments.agent_config import AgentConfig
from experiments.apart import SETTINGS, ApartPolicy, OwnAdvantages, Stacked
from experiments.heedful import HeedfulPolicy, Reading
from experiments.records import write_atomically
from mmg_env.errors import InputError
from mmg_env.system import System

ALGORITHMS: Final[dict[str, type[Any]]] = {
    "ppo": PPO,
    "bc": PPO,
    "sac": SAC,
    "td3": TD3,
    "tqc": TQC,
}
EXPLORATION: Final = 0.1  # TD3: spread of the noise on actions, as a share of half a range
ACTIVATIONS: Final[dict[type[nn.Module], Literal["tanh", "relu"]]] = {
    nn.Tanh: "tanh",
    nn.ReLU: "relu",
}
MODULES: Final = {
    "stable_baselines3.common.policies": "ppo",
    "stable_baselines3.sac.policies": "sac",
    "stable_baselines3.td3.policies": "td3",
    "sb3_contrib.tqc.policies": "tqc",
}
"""Where the policies of each algorithm stand, as a saved model says."""
_TENSORS: Final = "model.pt"
_NUMBERS: Final = "progress.json"
_REPLAY: Final = "replay.npz"


def make_model(config: AgentConfig, system: System, env: VecEnv, seed: int) -> BaseAlgorithm:
    """Return a fresh model on the processor, seeded."""
    policy: str | type[HeedfulPolicy] = "MlpPolicy"
    activation = nn.Tanh if config.activation == "tanh" else nn.ReLU
    shape: dict[str, Any] = {"net_arch": list(config.network), "activation_fn": activation}
    settings = dict(config.settings)
    if config.algorithm in ("ppo", "bc"):
        policy = HeedfulPolicy
        reading = Reading(system, Team(system) if config.team else None)
        shape |= {"log_std_init": config.log_std[0], "reading": reading}
        shape["actor_share"] = config.actor_share
        settings["learning_rate"] = LinearSchedule(settings.get("learning_rate", 3e-4), 0.0, 1.0)
    if config.team == "independent":
        policy = ApartPolicy
        agents = {"agents": len(Team(system))}
        shape |= agents
        own = {"rollout_buffer_class": OwnAdvantages, "rollout_buffer_kwargs": agents}
        settings = SETTINGS | settings | own
    if config.algorithm == "td3":
        assert env.action_space.shape is not None
        spread = np.full(env.action_space.shape, EXPLORATION)
        settings["action_noise"] = NormalActionNoise(np.zeros_like(spread), spread)
    kind = ALGORITHMS[config.algorithm]
    model: BaseAlgorithm = kind(
        policy, env, policy_kwargs=shape, seed=seed, device="cpu", **settings
    )
    return model


def actor_of(model: BaseAlgorithm) -> nn.Module:
    """Return the module that maps observations to a model's mean actions."""
    policy: Any = model.policy
    if isinstance(model, PPO):
        return nn.Sequential(policy.mlp_extractor.policy_net, policy.action_net)
    if isinstance(model, TD3):
        module: nn.Module = policy.actor.mu
        return module
    return nn.Sequential(policy.actor.latent_pi, policy.actor.mu, nn.Tanh())


def squash_of(model: BaseAlgorithm) -> Literal["clip", "tanh"]:
    """Return what follows the last layer of a model's actor."""
    foreign = isinstance(model, PPO) and not isinstance(model.policy, HeedfulPolicy)
    return "clip" if foreign else "tanh"


def network_of(model: BaseAlgorithm, activation: str) -> Network:
    """Return a model's actor as plain arrays, a team's own actors as stacked ones."""
    linear = [m for m in actor_of(model).modules() if isinstance(m, nn.Linear | Stacked)]
    layers = [
        (
            m.weight.detach().mT.numpy().astype(np.float32).copy(),
            m.bias.detach().numpy().astype(np.float32).copy(),
        )
        for m in linear
    ]
    return Network(layers, activation, squash_of(model))


def open_model(file: Path) -> tuple[str, BaseAlgorithm, Literal["tanh", "relu"]]:
    """Unpickle a saved model; return its algorithm, itself, and the activation of its actor.

    Raises:
        InputError: it is no model of an algorithm that is known here.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            module = json.loads(archive.read("data"))["policy_class"]["__module__"]
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: no model of stable-baselines3: {error}") from None
    name = MODULES.get(module)
    if name is None:
        raise InputError(f"{file}: its policy is of {module}; known: {', '.join(MODULES)}")
    model: BaseAlgorithm = ALGORITHMS[name].load(file, device="cpu")
    kinds = {type(m) for m in list(actor_of(model).modules())[:-1]} & set(ACTIVATIONS)
    between = kinds - {nn.Tanh} if len(kinds) > 1 else kinds
    return name, model, ACTIVATIONS[between.pop()] if between else "tanh"


def spread_actions(model: BaseAlgorithm, log_std: float) -> None:
    """Set the spread of PPO's actions.

    Left to itself it hardly falls, and the mean is bent to bear a noise that is not there when the
    agent is played.
    """
    policy: Any = model.policy
    policy.log_std.requires_grad_(False)
    policy.log_std.data.fill_(log_std)


def hold_actor(model: BaseAlgorithm, held: bool) -> None:
    """Let the actor stay as it is while the critic learns, or let go of it."""
    for parameter in actor_of(model).parameters():
        parameter.requires_grad_(not held)


def save_checkpoint(folder: Path, model: BaseAlgorithm, progress: dict[str, Any]) -> None:
    """Keep a model, its reward normaliser, its replay buffer and how far it has come."""
    parameters = model.get_parameters()
    write_atomically(folder / _TENSORS, lambda file: torch.save(parameters, file))
    env = model.get_vec_normalize_env()
    assert isinstance(env, VecNormalize)
    spread = env.ret_rms
    progress = progress | {
        "reward_mean": np.asarray(spread.mean).tolist(),
        "reward_var": np.asarray(spread.var).tolist(),
        "reward_count": float(spread.count),
    }
    if isinstance(model, OffPolicyAlgorithm):
        _save_replay(folder / _REPLAY, model.replay_buffer)
    text = json.dumps(progress, indent=1)
    write_atomically(folder / _NUMBERS, lambda file: file.write_text(text, encoding="utf-8"))


def load_checkpoint(folder: Path, model: BaseAlgorithm) -> dict[str, Any]:
    """Bring a fresh model to where a checkpoint stands; return how far that is."""
    progress: dict[str, Any] = json.loads((folder / _NUMBERS).read_text(encoding="utf-8"))
    model.set_parameters(torch.load(folder / _TENSORS, weights_only=True))
    model.num_timesteps = progress["steps"]
    env = model.get_vec_normalize_env()
    assert isinstance(env, VecNormalize)
    env.ret_rms.mean = np.array(progress["reward_mean"])
    env.ret_rms.var = np.array(progress["reward_var"])
    env.ret_rms.count = progress["reward_count"]
    if isinstance(model, OffPolicyAlgorithm):
        _load_replay(folder / _REPLAY, model.replay_buffer)
    return progress


def has_checkpoint(folder: Path) -> bool:
    """Return whether there is something to go on from."""
    return (folder / _NUMBERS).exists()


_KEPT: Final = ("observations", "next_observations", "actions", "rewards", "dones")


def _save_replay(file: Path, buffer: ReplayBuffer | None) -> None:
    assert buffer is not None
    end = buffer.buffer_size if buffer.full else buffer.pos
    arrays = {name: getattr(buffer, name)[:end] for name in _KEPT}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            np.savez(stream, pos=buffer.pos, full=buffer.full, **arrays)

    write_atomically(file, write)


def _load_replay(file: Path, buffer: ReplayBuffer | None) -> None:
    assert buffer is not None
    with np.load(file, allow_pickle=False) as kept:
        for name in _KEPT:
            getattr(buffer, name)[: len(kept[name])] = kept[name]
        buffer.pos, buffer.full = int(kept["pos"]), bool(kept["full"])
