"""Cloning: a network comes to do what it was shown, where that counts."""

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO, SAC, TD3

from experiments.agent_config import Cloning
from experiments.cloning import clone
from experiments.demonstrations import Demonstrations
from experiments.learners import actor_of
from mmg_env import CommunityEnv

HOW = Cloning(updates=100, batch_size=64, learning_rate=0.01)


def new_model(kind, suite="tiny"):
    return kind(
        "MlpPolicy", CommunityEnv(suite), policy_kwargs={"net_arch": [8]}, seed=0, device="cpu"
    )


@pytest.mark.parametrize("kind", [PPO, SAC, TD3])
def test_a_model_begins_at_what_was_demonstrated_its_target_too(kind):
    model = new_model(kind)
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(200, *model.observation_space.shape)).astype(np.float32)
    done = np.full((200, 1), 0.5, np.float32)
    shown = Demonstrations(seen, done, np.ones_like(done, dtype=bool))
    loss, _ = clone(model, shown, HOW, 0)
    asked = actor_of(model)(torch.from_numpy(seen))
    assert loss < 0.1
    if kind is TD3:
        assert torch.equal(model.policy.actor_target(torch.from_numpy(seen)), asked)


def test_entries_that_nobody_reads_do_not_count():
    model = new_model(PPO, "community_real")
    rng = np.random.default_rng(0)
    seen = rng.normal(0.0, 0.1, (200, *model.observation_space.shape)).astype(np.float32)
    done = np.full((200, *model.action_space.shape), 0.5, np.float32)
    heeded = np.ones_like(done, dtype=bool)
    done[:, 0], heeded[:, 0] = 1e6, False
    loss, held_out = clone(model, Demonstrations(seen, done, heeded), HOW, 0)
    assert max(loss, held_out) < 0.5
