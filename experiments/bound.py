"""The command `mmg bound`: how much of a policy's distance from perfect foresight can be closed?

Perfect foresight knows when the grid will fail; no policy does. The bound of
`baselines.outage_bound` does not know it either, so the distance falls into what not knowing the
outages costs at least, and the rest, which is the most that could be gained. The same policy with
perfect forecasts of all but outages and calls says how much of the rest is lost to the weather and
to prices; that is no bound, for some of it could be gained by planning with their uncertainty.
"""

from typing import Annotated, NamedTuple

import joblib
import numpy as np
import typer
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from baselines import POLICIES, perfect_foresight
from baselines.outage_bound import outage_bound
from experiments.bench import check_policy, check_split
from experiments.statistics import mean_difference
from mmg_env.env import CommunityEnv
from mmg_env.rollout import rollout
from mmg_env.sources.random import stream
from mmg_env.splits import sample_episode
from mmg_env.system import System, load_system

Array = NDArray[np.float64]


class Costs(NamedTuple):
    """Costs of one episode."""

    oracle: float
    bound: float
    policy: float
    forewarned: float


def bound(
    suite: Annotated[str, typer.Option(help="A suite whose grid may fail.")] = "resilience",
    policy: Annotated[str, typer.Option(help="The policy whose distance is split.")] = "mpc",
    split: Annotated[str, typer.Option(help="train, val, test or shift.")] = "test",
    episodes: Annotated[int, typer.Option(min=2, help="Number of episodes.")] = 16,
    scenarios: Annotated[
        int | None, typer.Option(min=1, help="Scenarios with an outage; else one per step.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = None,
) -> None:
    """Split a policy's distance from the oracle: what not knowing outages costs, and the rest."""
    system = load_system(suite)
    check_split(system, split)
    check_policy(policy, system)
    cells = (joblib.delayed(_costs)(suite, policy, split, i, scenarios) for i in range(episodes))
    found = Costs(*np.array(joblib.Parallel(n_jobs=workers or joblib.cpu_count())(cells)).T)
    title = f"{system.name}, {split}, {episodes} episodes"
    Console().print(_table(title, system.config.currency, policy, found))


def _table(title: str, currency: str, policy: str, found: Costs) -> Table:
    """Return how the distance falls into parts."""
    oracle, bounds, played, forewarned = (np.asarray(costs) for costs in found)
    distance = float((played - oracle).mean())
    table = Table("", currency, "95 %", "share", box=SIMPLE_HEAD, title_justify="left", title=title)
    table.add_row("oracle, all foreseen", f"{oracle.mean():.1f}", "", "")
    table.add_row(f"{policy}, as played", f"{played.mean():.1f}", "", "")
    rows = {
        "distance": (played, oracle),
        "not knowing outages, at least": (bounds, oracle),
        "left to be gained, at most": (played, bounds),
        f"lost by {policy} to forecasts that err": (played, forewarned),
    }
    rng = np.random.default_rng(0)
    for name, (costs, others) in rows.items():
        value, low, high = mean_difference(costs, others, rng)
        share = f"{100.0 * value / distance:.0f} %"
        table.add_row(name, f"{value:.1f}", f"{low:.1f} ... {high:.1f}", share)
    return table


def _costs(suite: str, policy: str, split: str, index: int, scenarios: int | None) -> Costs:
    """Return the costs of one episode."""
    system = load_system(suite)
    episode = sample_episode(system, split, index)
    # A stream of its own: what is drawn here is no part of the episode.
    rng = stream(system.name, split, index, "outage bound")
    found = outage_bound(system, episode, rng, scenarios)
    oracle = perfect_foresight(system, episode).bound
    assert oracle is not None
    foreseen = load_system(suite, {"source.forecast": "perfect"})
    return Costs(
        oracle,
        found.bound,
        _played(system, policy, split, index),
        _played(foreseen, policy, split, index),
    )


def _played(system: System, policy: str, split: str, index: int) -> float:
    """Return what a policy costs on an episode."""
    env = CommunityEnv(system, split=split)
    return rollout(env, POLICIES[policy](system), options={"episode": index}).cost
