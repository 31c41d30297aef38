"""Checkpoints: everything that a learner has become comes back, from one file."""

import numpy as np
import pytest
import torch

from experiments.agent_config import AgentConfig
from experiments.checkpoint import load_checkpoint, save_checkpoint
from experiments.learners import make_model
from experiments.plan import CHECKPOINT
from experiments.sb3_vec import multiplier_of
from experiments.train import _environment
from mmg_env import load_system

SETTINGS = {
    "ppo": {"n_steps": 24, "batch_size": 48},
    "sac": {"learning_starts": 20, "buffer_size": 200, "batch_size": 16, "ent_coef": "auto_0.05"},
    "td3": {"learning_starts": 20, "buffer_size": 200, "batch_size": 16},
    "tqc": {"learning_starts": 20, "buffer_size": 200, "batch_size": 16, "ent_coef": "auto"},
}


def new_model(algorithm, seed):
    limit = {"channel": "projection_kw", "limit": 0.0, "step": 0.01}
    told = {"algorithm": algorithm, "envs": 4, "network": [8], "constraint": limit}
    config = AgentConfig.model_validate(told | {"settings": SETTINGS[algorithm]})
    system = load_system("tiny")
    return make_model(config, system, _environment(config, system, None), seed)


@pytest.mark.parametrize("algorithm", list(SETTINGS))
def test_what_was_learned_comes_back(tmp_path, algorithm):
    model, fresh = new_model(algorithm, 1), new_model(algorithm, 2)
    model.learn(300)
    multiplier_of(model.env).price = 1.25
    save_checkpoint(tmp_path / CHECKPOINT, model, {"steps": model.num_timesteps, "note": "so far"})
    assert load_checkpoint(tmp_path / CHECKPOINT, fresh)["note"] == "so far"
    assert fresh.num_timesteps == model.num_timesteps >= 300
    for name, wanted in model.policy.state_dict().items():
        assert torch.equal(fresh.policy.state_dict()[name], wanted)
    if algorithm in ("sac", "tqc"):
        assert torch.equal(fresh.log_ent_coef, model.log_ent_coef)
        assert fresh.ent_coef_optimizer.param_groups[0]["params"][0] is fresh.log_ent_coef
    if algorithm != "ppo":
        assert fresh.replay_buffer.pos == model.replay_buffer.pos
        assert np.array_equal(fresh.replay_buffer.rewards, model.replay_buffer.rewards)
    spread = model.get_vec_normalize_env().ret_rms
    assert fresh.get_vec_normalize_env().ret_rms.var == pytest.approx(spread.var)
    again, before = multiplier_of(fresh.env), multiplier_of(model.env)
    assert (again.price, again.suffered) == (1.25, before.suffered)


def test_nothing_is_unpickled(tmp_path):
    torch.save({"progress": print}, tmp_path / CHECKPOINT)
    with pytest.raises(Exception, match=r"[Ww]eights"):
        load_checkpoint(tmp_path / CHECKPOINT, new_model("ppo", 0))
