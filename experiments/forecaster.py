"""Learning to read forecasts: least squares over what train episodes foretold and what came true.

    minimise  sum over n issues of (w . predictors - truth) ** 2  +  ridge * n * |w - as it is| ** 2

for every column and lead alone, all in units of a residual's spread (`baselines.learned_forecast`).
"As it is" are the weights that leave the forecast alone: so do leads that no episode realises.

Source: Glahn and Lowry 1972 (model output statistics).
"""

import time
from typing import Final

import joblib
import numpy as np
import typer
from numpy.typing import NDArray

from baselines.agent import Facts, interface_of
from baselines.learned_forecast import (
    AS_IT_IS,
    PREDICTORS,
    ForecastAgent,
    LearnedForecast,
    predictors,
    uncertain,
)
from experiments.agent_config import Fitting
from experiments.agent_file import write_agent
from experiments.plan import AGENT, Plan
from mmg_env.climatology import climatology
from mmg_env.env import CommunityEnv
from mmg_env.rollout import rollout
from mmg_env.splits import sample_episode, split_size
from mmg_env.system import System, load_system

Array = NDArray[np.float64]

PLAYED: Final = 16
"""Episodes of val that are played in the end, for the page alone: nothing is chosen by them."""


def learn_forecast(plan: Plan, how: Fitting) -> float:
    """Do what `mmg train --algo forecast` is asked for; return the mean cost on val."""
    began = time.perf_counter()
    system = load_system(plan.suite)
    learned = fit(system, plan.seed * how.episodes, how.episodes, how.ridge)
    seen, spent = how.episodes * system.episode_steps, time.perf_counter() - began
    validated = min(PLAYED, split_size(system, "val") or PLAYED)
    cost = float(costs_of(system, learned, validated, plan.workers or joblib.cpu_count()).mean())
    facts = Facts(
        name=plan.out.name,
        suite=plan.suite,
        algorithm="forecast",
        kind="forecast",
        interface=interface_of(system),
        training={
            "command": plan.command(),
            "seed": plan.seed,
            "config": how.model_dump(mode="json"),
            "steps": seen,
            "wall_s": round(spent, 1),
            "val_cost": cost,
            "val_episodes": validated,
        },
    )
    write_agent(plan.out / AGENT, facts, learned)
    typer.echo(f"on val: {cost:,.2f} {system.config.currency}; {plan.out / AGENT}")
    return cost


def fit(system: System, first: int, episodes: int, ridge: float) -> LearnedForecast:
    """Return what is learned from consecutive train episodes.

    Args:
        system: the system.
        first: number of the first episode.
        episodes: how many.
        ridge: weight of the squared change of the weights, per issue.
    """
    episode = sample_episode(system, "train", first)
    squares = np.zeros((episode.leads, system.exogenous_size, PREDICTORS, PREDICTORS))
    products = np.zeros(squares.shape[:-1])
    counts = np.zeros(episode.leads)
    varies = uncertain(climatology(system), episode.forecast(0))
    for index in range(first, first + episodes):
        _gather(system, index, squares, products, counts)
    penalty = (ridge * counts + 1e-9)[:, None, None, None] * np.eye(PREDICTORS)
    missing = products - squares @ AS_IT_IS
    weights = AS_IT_IS + np.linalg.solve(squares + penalty, missing[..., None])[..., 0]
    weights[:, ~varies] = AS_IT_IS
    return LearnedForecast(weights)


def _gather(system: System, index: int, squares: Array, products: Array, counts: Array) -> None:
    """Add an episode to the sums, which stand for all leads that it realises."""
    episode = sample_episode(system, "train", index)
    climate = climatology(system)
    truth = climate.residuals(episode.start, episode.values)
    for t in range(episode.steps):
        leads = min(episode.leads, episode.steps - t)
        history = episode.until(t)
        seen = predictors(climate, history, episode.forecast(t), system.steps_per_day)[:leads]
        squares[:leads] += seen[..., :, None] * seen[..., None, :]
        products[:leads] += seen * truth[t : t + leads, :, None]
        counts[:leads] += 1.0


def costs_of(system: System, learned: LearnedForecast, episodes: int, workers: int) -> Array:
    """Return what MPC on a learned forecast costs in the first episodes of val, (episodes,)."""
    pool = joblib.Parallel(n_jobs=workers)
    return np.array(pool(joblib.delayed(_play)(system, learned, k) for k in range(episodes)))


def _play(system: System, learned: LearnedForecast, index: int) -> float:
    env = CommunityEnv(system, "val")
    return rollout(env, ForecastAgent(system, learned), options={"episode": index}).cost
