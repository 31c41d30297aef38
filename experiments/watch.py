"""What watches over training: evaluation on `val`, the best agent, the curve, the checkpoint."""

import time
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import typer
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from baselines.agent import Facts, Network, interface_of, read_agent
from experiments.agent_config import AgentConfig
from experiments.agent_file import write_agent, write_curve
from experiments.checkpoint import save_checkpoint
from experiments.evaluation import acting, costs_on
from experiments.learners import hold_actor, network_of, spread_actions, squash_of
from experiments.plan import AGENT, CHECKPOINT, CURVE, VALIDATED, Plan
from experiments.sb3_vec import multiplier_of
from mmg_env.splits import split_size
from mmg_env.system import System


class Watch(BaseCallback):
    """Evaluates on val, keeps the best agent, writes the curve and the checkpoint.

    The best agent is the cheapest on val; under a constraint, the cheapest of those that keep it,
    or the one that comes nearest.

    Attributes:
        best: by how much the best agent so far violates the constraint on val, and its mean cost.
    """

    def __init__(
        self, plan: Plan, config: AgentConfig, system: System, base: Network | None
    ) -> None:
        """Prepare; nothing is evaluated yet."""
        super().__init__()
        self.best = (np.inf, np.inf)
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

    @property
    def _cloned(self) -> bool:
        return bool(self._plan.warm_start) and self._config.residual is None

    def resume(self, progress: dict[str, Any]) -> None:
        """Go on from a checkpoint, and from the agent that is kept, which may be newer."""
        kept = read_agent(self._plan.out / AGENT)[0].training
        self.best = (kept["val_violation"], kept["val_cost"])
        self._rows, self._before = progress["curve"], progress["wall_s"]
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
        if self._cloned:
            hold_actor(self.model, self.num_timesteps < self._config.critic_first)

    def _on_rollout_end(self) -> None:
        """Raise the price of the constraint where it is violated, lower it where it is kept."""
        constraint, env = self._config.constraint, multiplier_of(self.training_env)
        if constraint is None or env is None or env.episodes == 0:
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
        cost = float(costs.mean())
        row = {"steps": float(model.num_timesteps), "wall_s": wall_s, "val_cost": cost}
        row |= {name: float(amount.mean()) for name, amount in channel.items()}
        self._rows = [*(r for r in self._rows if r["steps"] != row["steps"]), row]
        found = (self._violation(row), cost)
        if found < self.best:
            self.best = found
            write_agent(self._plan.out / AGENT, self._facts(model, wall_s), network)
        write_curve(self._plan.out / CURVE, self._rows)
        progress = {"steps": model.num_timesteps, "wall_s": wall_s, "curve": self._rows}
        save_checkpoint(self._plan.out / CHECKPOINT, model, progress)
        typer.echo(f"{model.num_timesteps:>9,} steps {wall_s:7.0f} s  val {cost:,.2f}")

    def _violation(self, row: Mapping[str, float]) -> float:
        """Return by how much the mean of val is above what the constraint tolerates."""
        constraint = self._config.constraint
        return 0.0 if constraint is None else max(0.0, row[constraint.channel] - constraint.limit)

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
                "val_cost": self.best[1],
                "val_violation": self.best[0],
                "val_episodes": self._episodes,
            },
        )
