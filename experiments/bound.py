"""The command `mmg bound`: how much of a policy's distance from perfect foresight can be closed?

Perfect foresight knows when the grid will fail; no policy does. The bound of
`baselines.outage_bound` does not know it either, so the distance falls into what not knowing the
outages costs at least, and the rest, which is the most that could be gained.
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
from experiments.statistics import Interval, mean_difference
from mmg_env.env import CommunityEnv
from mmg_env.rollout import rollout
from mmg_env.sources.random import stream
from mmg_env.splits import sample_episode
from mmg_env.system import load_system

Array = NDArray[np.float64]


class Costs(NamedTuple):
    """Costs of one episode."""

    oracle: float
    unforeseen: float
    foreseen: float
    bound: float
    policy: float


def bound(
    suite: Annotated[str, typer.Option(help="A suite whose grid may fail.")] = "resilience",
    policy: Annotated[str, typer.Option(help="The policy whose distance is split.")] = "mpc",
    split: Annotated[str, typer.Option(help="train, val, test or shift.")] = "test",
    episodes: Annotated[int, typer.Option(min=2, help="Number of episodes.")] = 24,
    scenarios: Annotated[int, typer.Option(min=1, help="Scenarios with an outage.")] = 12,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = None,
) -> None:
    """Split a policy's distance from the oracle: what not knowing outages costs, and the rest."""
    system = load_system(suite)
    check_split(system, split)
    check_policy(policy, system)
    cells = (joblib.delayed(_costs)(suite, policy, split, i, scenarios) for i in range(episodes))
    found = joblib.Parallel(n_jobs=workers or joblib.cpu_count())(cells)
    oracle, unforeseen, foreseen, bounds, played = np.array(found).T
    rng = np.random.default_rng(0)
    rows = {
        "oracle: everything foreseen": Interval(float(oracle.mean()), np.nan, np.nan),
        f"{policy}, as played": Interval(float(played.mean()), np.nan, np.nan),
        "distance": mean_difference(played, oracle, rng),
        "of it, not knowing outages: at least": mean_difference(unforeseen, foreseen, rng),
        "left to be gained: at most": mean_difference(played, bounds, rng),
    }
    table = Table("", system.config.currency, "95 %", box=SIMPLE_HEAD, title_justify="left")
    table.title = f"{system.name}, {split}, {episodes} episodes, {scenarios} scenarios of outages"
    for name, (value, low, high) in rows.items():
        spread = "" if np.isnan(low) else f"{low:.1f} ... {high:.1f}"
        table.add_row(name, f"{value:.1f}", spread)
    Console().print(table)


def _costs(suite: str, policy: str, split: str, index: int, scenarios: int) -> Costs:
    """Return the costs of one episode."""
    system = load_system(suite)
    episode = sample_episode(system, split, index)
    # A stream of its own: what is drawn here is no part of the episode.
    rng = stream(system.name, split, index, "outage bound")
    found = outage_bound(system, episode, scenarios, rng)
    env = CommunityEnv(system, split=split)
    played = rollout(env, POLICIES[policy](system), options={"episode": index})
    oracle = perfect_foresight(system, episode).bound
    assert oracle is not None
    return Costs(oracle, found.unforeseen, found.foreseen, found.bound, played.cost)
