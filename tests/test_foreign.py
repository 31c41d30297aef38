"""Foreign models: unpickled only if the user says so; what comes out plays the same."""

from functools import cache

import numpy as np
import pytest
import torch
from sb3_contrib import TQC
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.torch_layers import FlattenExtractor
from typer.testing import CliRunner

from baselines import policy_named
from baselines.agent import read_agent
from experiments.cli import app
from experiments.foreign import adopt
from mmg_env import CommunityEnv, InputError, load_system


@cache
def shipped(name):
    return load_system(name)


class Doubling(FlattenExtractor):
    """Features that are not the observations themselves, though as many."""

    def forward(self, observations):
        return 2.0 * super().forward(observations)


class Dropping(FlattenExtractor):
    """Fewer features than observations."""

    def __init__(self, space):
        super().__init__(space)
        self._features_dim -= 1

    def forward(self, observations):
        return super().forward(observations)[:, 1:]


def saved(folder, kind, **fields):
    env = CommunityEnv(shipped("tiny"), "val")
    fields = {"policy_kwargs": {"net_arch": [8, 8]}} | fields  # new: a model changes it
    model = kind("MlpPolicy", env, device="cpu", **fields)
    file = folder / f"{kind.__name__.lower()}.zip"
    model.save(file)
    return model, str(file)


@pytest.mark.parametrize("kind", [PPO, SAC, TD3, TQC])
def test_a_trusted_model_plays_as_it_did(tmp_path, kind):
    model, file = saved(tmp_path, kind)
    folder = adopt(file, shipped("tiny"), tmp_path / "agents", trusted=True)
    policy = policy_named(folder)(shipped("tiny"))
    observation, info = CommunityEnv(shipped("tiny"), "val").reset(seed=0)
    wanted, _ = model.predict(observation, deterministic=True)
    assert policy.act(observation, info) == pytest.approx(np.clip(wanted, -1, 1), abs=1e-5)


def test_the_activation_is_that_of_the_model(tmp_path):
    kwargs = {"net_arch": [8], "activation_fn": torch.nn.ReLU}
    _, file = saved(tmp_path, PPO, policy_kwargs=kwargs)
    folder = adopt(file, shipped("tiny"), tmp_path / "agents", trusted=True)
    assert read_agent(tmp_path / "agents" / folder.split("/")[-1])[0].activation == "relu"


@pytest.mark.parametrize("kind", [PPO, SAC])
@pytest.mark.parametrize("activation", ["ELU", "LeakyReLU", "GELU"])
def test_a_model_with_another_activation_is_refused(tmp_path, kind, activation):
    kwargs = {"net_arch": [8], "activation_fn": getattr(torch.nn, activation)}
    _, file = saved(tmp_path, kind, policy_kwargs=kwargs)
    with pytest.raises(InputError, match=rf"\.zip: .*{activation}; allowed.*: Tanh, ReLU"):
        adopt(file, shipped("tiny"), tmp_path / "agents", trusted=True)
    assert not (tmp_path / "agents").exists()


@pytest.mark.parametrize("extractor", [Doubling, Dropping])
def test_a_model_that_does_more_than_its_network_is_refused(tmp_path, extractor):
    kwargs = {"net_arch": [8], "features_extractor_class": extractor}
    _, file = saved(tmp_path, PPO, policy_kwargs=kwargs)
    with pytest.raises(InputError, match="its network alone does not give its actions"):
        adopt(file, shipped("tiny"), tmp_path / "agents", trusted=True)


def test_nothing_is_unpickled_without_trust(tmp_path, monkeypatch):
    _, file = saved(tmp_path, PPO)
    touched = []
    monkeypatch.setattr("zipfile.ZipFile.read", lambda *_: touched.append(1))
    with pytest.raises(InputError, match="--trust"):
        adopt(file, shipped("tiny"), tmp_path / "agents", trusted=False)
    assert not touched
    assert not (tmp_path / "agents").exists()


def test_bench_asks_for_trust_and_then_scores(tmp_path):
    _, file = saved(tmp_path, PPO)
    line = ["bench", "--suite", "tiny", "--episodes", "2", "--policies", f"idle,{file}"]
    line += ["--workers", "1", "--out", str(tmp_path / "results")]
    refused = CliRunner().invoke(app, line)
    assert isinstance(refused.exception, InputError)
    assert "--trust" in str(refused.exception)
    done = CliRunner().invoke(app, [*line, "--trust"])
    assert done.exit_code == 0, done.output
    assert "ppo-" in done.output


def test_a_model_of_another_system_is_refused(tmp_path):
    _, file = saved(tmp_path, PPO)
    with pytest.raises(InputError, match=r"takes observations \(85,\) and gives actions \(1,\)"):
        adopt(file, shipped("s2_crh"), tmp_path / "agents", trusted=True)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    file = tmp_path / "no.zip"
    with pytest.raises(InputError, match="no such file"):
        adopt(str(file), shipped("tiny"), tmp_path, trusted=True)
    file.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="no model of stable-baselines3"):
        adopt(str(file), shipped("tiny"), tmp_path, trusted=True)
