"""The command `mmg train`: a learner of stable-baselines3, from its file to an agent in a folder.

It is read from top to bottom: environment, model, what it begins from, learning, agent. Evaluated
is on `val` alone, by playing its episodes to the end; what is kept is the best on `val`.
"""

import joblib
import numpy as np
import torch
import typer
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from baselines.agent import Network
from experiments.agent_config import AgentConfig, read_agent_config
from experiments.apart import OwnScales
from experiments.checkpoint import load_checkpoint
from experiments.cloning import clone
from experiments.demonstrations import Demonstrations, demonstrate
from experiments.engine import exclusive
from experiments.forecaster import learn_forecast
from experiments.learners import make_model, network_of
from experiments.plan import AGENT, CHECKPOINT, Plan, must_continue, must_suit
from experiments.sb3_vec import CommunityVecEnv, Correction, Multiplier, Savings
from experiments.team_vec import TeamVecEnv
from experiments.watch import Watch
from mmg_env.info import safety_channel
from mmg_env.system import System, load_system
from mmg_env.vector import CommunityVectorEnv


def begin(plan: Plan) -> None:
    """Read the learner's file and train it, alone in its folder.

    Raises:
        InputError: what is asked for does not go together, or the folder is taken.
    """
    config = read_agent_config(plan.agent)
    must_suit(plan, config)
    with exclusive(plan.out):
        must_continue(plan, config)
        if config.algorithm == "forecast":
            learn_forecast(plan, config.fitting)
        else:
            learn(plan, config)


def learn(plan: Plan, config: AgentConfig) -> float:
    """Do what `mmg train` is asked for; return the mean cost on val of the agent that is kept."""
    torch.set_num_threads(1)  # the networks are small: more threads only wait for each other
    system = load_system(plan.suite)
    shown = _demonstrations(plan, config)
    base = _base(system, config, shown, plan.seed)
    model = make_model(config, system, _environment(config, system, base), plan.seed)
    watch = Watch(plan, config, system, base)
    resumed = (plan.out / CHECKPOINT).exists()
    if resumed:
        watch.resume(load_checkpoint(plan.out / CHECKPOINT, model))
    elif shown is not None and config.residual is None:
        loss, held_out = clone(model, shown, config.cloning, plan.seed)
        typer.echo(f"cloned {plan.warm_start}: loss {loss:.4f}, held out {held_out:.4f}")
    model.set_random_seed(_fresh_seed(plan.seed, model.num_timesteps))
    log = plan.out / "log" / f"{model.num_timesteps}"
    model.set_logger(configure(str(log), ["csv", "tensorboard"]))
    if not resumed:
        watch.look(model)
    left = plan.steps - model.num_timesteps
    if config.algorithm != "bc" and left > 0:
        model.learn(left, callback=watch, reset_num_timesteps=False)
        watch.look(model)
    model.logger.close()
    _, cost = watch.best
    typer.echo(f"best on val: {cost:,.2f} {system.config.currency}; {plan.out / AGENT}")
    return cost


def _fresh_seed(seed: int, steps: int) -> int:
    """Return a seed of its own for every learner and every start: no episode is played twice."""
    return int(np.random.SeedSequence([seed, steps]).generate_state(1)[0])


def _demonstrations(plan: Plan, config: AgentConfig) -> Demonstrations | None:
    """Return what is cloned, if anything is."""
    policy = config.residual.base if config.residual else plan.warm_start
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
    clone(model, shown, config.cloning, seed)
    return network_of(model, config.activation)


def _environment(config: AgentConfig, system: System, base: Network | None) -> VecNormalize:
    """Return the batch that is learned on: savings for reward, scaled by how they spread."""
    batch = CommunityVectorEnv(config.envs, system, "train", autoreset_mode="SAME_STEP")
    gamma = float(config.settings.get("gamma", 0.99))
    if config.team:
        team = TeamVecEnv(batch)
        if config.team == "independent":
            return OwnScales(team, len(team.team), gamma)
        return VecNormalize(team, norm_obs=False, gamma=gamma)
    community = CommunityVecEnv(batch)
    env: VecEnv = Savings(community)
    if config.constraint is not None:
        names = list(safety_channel(batch.batch.flows, system.dt_h))
        env = Multiplier(env, community, names.index(config.constraint.channel))
    if base is not None and config.residual is not None:
        env = Correction(env, base, config.residual.scale)
    return VecNormalize(env, norm_obs=False, gamma=gamma)
