"""The command `mmg perf ppo`: what the environment costs a learner of stable-baselines3.

PPO learns on the batch and on a batch that does nothing and has the same shapes, in turn, in one
run. The ratio says how much of the learner's time the environment takes.
"""

from statistics import median
from time import perf_counter
from typing import Any, Final

import numpy as np
import torch
import typer
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

from experiments.sb3_vec import CommunityVecEnv
from mmg_env.system import load_system
from mmg_env.vector import CommunityVectorEnv

SLOTS: Final = (64, 256)
WANTED: Final = 0.95
ROLLOUT: Final = 48  # steps of each slot between two updates
MINIBATCHES: Final = 12


class EmptyBatch(CommunityVecEnv):
    """Does nothing, in the shapes and with the episodes of a batch."""

    def __init__(self, env: CommunityVectorEnv) -> None:
        """Take the shapes of another batch."""
        super().__init__(env)
        self._steps, self._t = env.system.episode_steps, 0
        shape = (self.num_envs, *(self.observation_space.shape or ()))
        self._zeros = np.zeros(shape, np.float32)

    def reset(self) -> Any:
        """Begin again."""
        self._t = 0
        return self._zeros.copy()

    def step_wait(self) -> Any:
        """Count."""
        self._t += 1
        ended = self._t % self._steps == 0
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if ended:
            for info in infos:
                info["terminal_observation"] = self._zeros[0].copy()
        rewards = np.zeros(self.num_envs, np.float32)
        return self._zeros.copy(), rewards, np.full(self.num_envs, ended), infos


def compare_learning(suite: str, rounds: int, frames: int) -> None:
    """Print frames per second of PPO on both batches, their ratio, and the time of a million.

    Args:
        suite: what is simulated.
        rounds: the median over these counts.
        frames: frames per round, at least.
    """
    torch.set_num_threads(1)
    system = load_system(suite)
    for slots in SLOTS:
        envs: dict[str, VecEnv] = {}
        for name, kind in (("batch", CommunityVecEnv), ("no-op", EmptyBatch)):
            vector = CommunityVectorEnv(slots, system, episodes=slots, autoreset_mode="SAME_STEP")
            envs[name] = kind(vector)
        found: dict[str, list[float]] = {name: [] for name in envs}
        for _ in range(rounds + 1):
            for name, env in envs.items():
                found[name].append(_frames_per_s(env, frames))
        speed = {name: median(values[1:]) for name, values in found.items()}
        ratios = [a / b for a, b in zip(found["batch"][1:], found["no-op"][1:], strict=True)]
        typer.echo(
            f"PPO, {slots:>3} x {suite}: {speed['batch']:>8,.0f} frames/s, no-op "
            f"{speed['no-op']:>8,.0f}: {median(ratios):.2f} (wanted: at least {WANTED}); "
            f"a million frames in {1e6 / speed['batch']:.0f} s"
        )


def _frames_per_s(env: VecEnv, frames: int) -> float:
    """Return the speed of learning, updates included."""
    size = ROLLOUT * env.num_envs
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=ROLLOUT,
        batch_size=size // MINIBATCHES,
        policy_kwargs={"net_arch": [64, 64]},
        seed=0,
        device="cpu",
    )
    begin = perf_counter()
    model.learn(frames)
    return model.num_timesteps / (perf_counter() - begin)
