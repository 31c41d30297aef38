"""Models of stable-baselines3: how one is made, and what its actor is."""

import json
import zipfile
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from sb3_contrib import TQC
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from baselines.agent import Network
from baselines.team import Team
from experiments.agent_config import AgentConfig
from experiments.apart import SETTINGS, ApartPolicy, OwnAdvantages, Stacked
from experiments.heedful import HeedfulPolicy, Reading
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
