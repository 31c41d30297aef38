"""The command `mmg train`: a learner of stable-baselines3, from its file to an agent in a folder.

It is read from top to bottom: environment, model, what it begins from, learning, agent. Evaluated
is on `val` alone, by playing its episodes to the end; what is kept is the best on `val`.
"""

import csv
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import joblib
import numpy as np
import torch
import typer
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from baselines.agent import Facts, Network, interface_of
from experiments.agent_config import AgentConfig, read_agent_config
from experiments.agent_file import write_agent
from experiments.cloning import clone
from experiments.demonstrations import Demonstrations, demonstrate
from experiments.engine import exclusive
from experiments.evaluation import acting, costs_on
from experiments.learners import (
    actor_of,
    has_checkpoint,
    hold_actor,
    load_checkpoint,
    make_model,
    network_of,
    save_checkpoint,
    spread_actions,
    squash_of,
)
from experiments.sb3_vec import CommunityVecEnv, Correction, Multiplier, Savings
from experiments.team_vec import TeamVecEnv
from mmg_env.errors import InputError
from mmg_env.info import safety_channel
from mmg_env.splits import split_size
from mmg_env.system import System, load_system
from mmg_env.vector import CommunityVectorEnv

VALIDATED: Final = 64  # episodes of val
CURVE: Final = "curve.csv"
CHECKPOINT: Final = "checkpoint"
AGENT: Final = "agent"


@dataclass(frozen=True)
class Plan:
    """What the command line asks for.

    Attributes:
        suite: what is learned on.
        algorithm: ppo, sac, td3, tqc or bc.
        steps: of the environment.
        seed: of the learner and of its episodes.
        agent: name or file of the learner's configuration.
        warm_start: the policy whose clone it begins from; empty for none.
        out: folder.
        workers: processes that demonstrate; None for one per core.
    """

    suite: str
    algorithm: str
    steps: int
    seed: int
    agent: str
    warm_start: str
    out: Path
    workers: int | None

    def command(self) -> str:
        """Return the command line."""
        words = ["mmg", "train", "--suite", self.suite, "--algo", self.algorithm]
        words += ["--steps", str(self.steps), "--seed", str(self.seed), "--agent", self.agent]
        words += ["--warm-start", self.warm_start] if self.warm_start else []
        return shlex.join(words)


def begin(plan: Plan) -> None:
    """Read the learner's file and train it, alone in its folder.

    Raises:
        InputError: the file says another algorithm, or the folder is taken.
    """
    config = read_agent_config(plan.agent)
    if config.algorithm != plan.algorithm:
        told = f"{plan.agent} says algorithm: {config.algorithm}"
        raise InputError(f"--algo: {plan.algorithm}, but {told}")
    if config.team and (config.residual or config.constraint or plan.warm_start):
        raise InputError(
            f"{plan.agent}: a team has no residual, constraint or --warm-start: agents see too "
            "little to do what a planner of the whole community does"
        )
    with exclusive(plan.out):
        learn(plan, config)


def learn(plan: Plan, config: AgentConfig) -> float:
    """Do what `mmg train` is asked for; return the best mean cost on val."""
    torch.set_num_threads(1)  # the networks are small: more threads only wait for each other
    system = load_system(plan.suite)
    shown = _demonstrations(plan, config)
    base = _base(system, config, shown, plan.seed)
    env = _environment(plan, config, system, base)
    model = make_model(config, system, env, plan.seed)
    model.set_logger(configure(str(plan.out / "log"), ["csv", "tensorboard"]))
    watch = Watch(plan, config, system, base)
    if has_checkpoint(plan.out / CHECKPOINT):
        watch.resume(load_checkpoint(plan.out / CHECKPOINT, model))
    elif shown is not None and config.residual is None:
        loss, held_out = clone(actor_of(model), shown, config.cloning, plan.seed)
        typer.echo(f"cloned {plan.warm_start}: loss {loss:.4f}, held out {held_out:.4f}")
    watch.look(model)
    if config.algorithm != "bc" and model.num_timesteps < plan.steps:
        held = config.critic_first if plan.warm_start and config.residual is None else 0
        for until, hold in ((held, True), (plan.steps, False)):
            hold_actor(model, hold)
            left = min(until, plan.steps) - model.num_timesteps
            if left > 0:
                model.learn(left, callback=watch, reset_num_timesteps=False)
        watch.look(model)
    typer.echo(f"best on val: {watch.best:,.2f} {system.config.currency}; {plan.out / AGENT}")
    return watch.best


def _demonstrations(plan: Plan, config: AgentConfig) -> Demonstrations | None:
    """Return what is cloned, if anything is."""
    policy = config.residual.base if config.residual else plan.warm_start
    if config.algorithm == "bc" and not policy:
        raise InputError("--algo bc: name the policy that is cloned with --warm-start")
    if not policy:
        return None
    return demonstrate(
        plan.suite, policy, config.cloning.episodes, plan.workers or joblib.cpu_count()
    )


def _base(
    system: System, config: AgentConfig, shown: Demonstrations | None, seed: int
) -> Network | None:
    """Return the clone that a residual learner corrects."""
    if config.residual is None or shown is None:
        return None
    env = CommunityVecEnv(CommunityVectorEnv(1, system, autoreset_mode="SAME_STEP"))
    imitator = config.model_copy(update={"algorithm": "bc", "settings": {}})
    model = make_model(imitator, system, env, seed)
    clone(actor_of(model), shown, config.cloning, seed)
    return network_of(model, config.activation)


def _environment(
    plan: Plan, config: AgentConfig, system: System, base: Network | None
) -> VecNormalize:
    """Return the batch that is learned on: savings for reward, scaled by how they spread."""
    batch = CommunityVectorEnv(config.envs, system, "train", autoreset_mode="SAME_STEP")
    gamma = float(config.settings.get("gamma", 0.99))
    if config.team:
        team = TeamVecEnv(batch)
        team.seed(plan.seed * 1_000_003)
        return VecNormalize(team, norm_obs=False, gamma=gamma)
    community = CommunityVecEnv(batch)
    community.seed(plan.seed * 1_000_003)  # no two seeds share an episode's slot
    env: VecEnv = Savings(community)
    if config.constraint is not None:
        names = list(safety_channel(batch.batch.flows, system.dt_h))
        env = Multiplier(env, community, names.index(config.constraint.channel))
    if base is not None and config.residual is not None:
        env = Correction(env, base, config.residual.scale)
    return VecNormalize(env, norm_obs=False, gamma=gamma)


class Watch(BaseCallback):
    """Evaluates on val, keeps the best agent, writes the curve and the checkpoint.

    Attributes:
        best: mean cost on val of the best agent so far.
    """

    def __init__(
        self, plan: Plan, config: AgentConfig, system: System, base: Network | None
    ) -> None:
        """Prepare; nothing is evaluated yet."""
        super().__init__()
        self.best = np.inf
        self._plan, self._config, self._system, self._base = plan, config, system, base
        self._episodes = min(VALIDATED, split_size(system, "val") or VALIDATED)
        self._rows: list[dict[str, float]] = []
        self._began = time.perf_counter()
        self._before = 0.0
        self._next = config.evaluate_every

    @property
    def _kind(self) -> Literal["network", "residual", "team"]:
        if self._config.team:
            return "team"
        return "residual" if self._config.residual else "network"

    def resume(self, progress: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best, self._before = progress["best"], progress["wall_s"]
        self._rows = progress["curve"]
        self._next = progress["steps"] + self._config.evaluate_every

    def _on_step(self) -> bool:
        if self.num_timesteps >= self._next:
            self._next = self.num_timesteps + self._config.evaluate_every
            self.look(self.model)
        return True

    def _on_rollout_start(self) -> None:
        if self._config.algorithm == "ppo":
            first, last = self._config.log_std
            done = min(1.0, self.num_timesteps / max(1, self._plan.steps))
            spread_actions(self.model, first + done * (last - first))

    def _on_rollout_end(self) -> None:
        if self._config.constraint is not None:
            self._move_price(self.training_env)

    def _move_price(self, env: Any) -> None:
        """Raise the price of the constraint where it is violated, lower it where it is kept."""
        constraint = self._config.constraint
        while not isinstance(env, Multiplier):
            env = env.venv
        if constraint is None or env.episodes == 0:
            return
        excess = env.suffered / env.episodes - constraint.limit
        env.price = max(0.0, env.price + constraint.step * excess)
        env.suffered, env.episodes = 0.0, 0
        self.logger.record("constraint/price", env.price)
        self.logger.record("constraint/excess", excess)

    def look(self, model: BaseAlgorithm) -> None:
        """Evaluate on val; keep the agent if none was better; write down where things stand."""
        network = network_of(model, self._config.activation)
        scale = self._config.residual.scale if self._config.residual else 1.0
        act = acting(self._system, self._kind, network, self._base, scale)
        costs, channel = costs_on(self._system, "val", self._episodes, act)
        wall_s = self._before + time.perf_counter() - self._began
        row = {"steps": float(model.num_timesteps), "wall_s": wall_s, "val_cost": costs.mean()}
        row |= {name: float(amount.mean()) for name, amount in channel.items()}
        self._rows.append(row)
        if costs.mean() < self.best:
            self.best = float(costs.mean())
            write_agent(self._plan.out / AGENT, self._facts(model, wall_s), network)
        self._write_curve()
        progress = {
            "steps": model.num_timesteps,
            "best": self.best,
            "wall_s": wall_s,
            "curve": self._rows,
        }
        save_checkpoint(self._plan.out / CHECKPOINT, model, progress)
        typer.echo(f"{model.num_timesteps:>9,} steps {wall_s:7.0f} s  val {costs.mean():,.2f}")

    def _facts(self, model: BaseAlgorithm, wall_s: float) -> Facts:
        residual = self._config.residual
        return Facts(
            name=self._plan.out.name,
            suite=self._plan.suite,
            algorithm=self._config.algorithm,
            kind=self._kind,
            base=residual.base if residual else "",
            scale=residual.scale if residual else 1.0,
            activation=self._config.activation,
            squash=squash_of(model),
            layers=len(self._config.network) + 1,
            interface=interface_of(self._system),
            training={
                "command": self._plan.command(),
                "seed": self._plan.seed,
                "warm_start": self._plan.warm_start,
                "config": self._config.model_dump(mode="json"),
                "steps": model.num_timesteps,
                "wall_s": round(wall_s, 1),
                "val_cost": self.best,
                "val_episodes": self._episodes,
            },
        )

    def _write_curve(self) -> None:
        with (self._plan.out / CURVE).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(self._rows[0]))
            writer.writeheader()
            writer.writerows(self._rows)
