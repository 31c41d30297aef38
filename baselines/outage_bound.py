"""A lower bound that does not foresee outages: what perfect foresight owes to knowing them.

Outages are independent of everything else (mmg_env/sources/grid.py). So let a plan know all of an
episode's weather, loads, prices, calls and derated days, but not when the grid will fail. The
expected cost of the best such plan is above perfect foresight's and below every policy's.

It is estimated from below. The episode is cut into blocks of hours, one per hour if nothing else is
said; in each, an hour is drawn from the law of the first outage, and what follows it from the law
of the chain. With the blocks' exact probabilities, these scenarios and the one without an outage
make a programme in which scenarios decide alike as long as they have seen alike; after its first
outage a scenario knows its own future. On average over the draws its optimum is below the best
plan's cost: every policy is feasible for every draw, so the expected minimum is below the minimum
of the expectation; and knowing more only lowers it. With blocks of several hours the plan may leave
itself bare in all hours but those drawn, and the bound is lower.

Two costs with one expectation, those with each scenario foreseen and with the episode's own outages
foreseen, serve as control variates. Commitments are relaxed in all of them. So `bound` is below
every policy's cost in expectation, over weather and outages, not on each episode.

Source: Brown, Smith & Sun 2010 (information relaxation); Mak, Morton & Wood 1999 (sampled
programmes bound from below).
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.compiled import Numbers
from baselines.decomposition import expected_cost
from baselines.deterministic import known_model
from baselines.highs import Solver
from mmg_env.config import AnalogueSource
from mmg_env.episode import Episode
from mmg_env.errors import InputError
from mmg_env.layout import X
from mmg_env.system import System

Array = NDArray[np.float64]


class OutageBound(NamedTuple):
    """Costs of relaxed plans for one episode, currency.

    Attributes:
        unforeseen: expected cost over outages that are not foreseen, from below.
        foreseen: expected cost over the same outages, each foreseen.
        own: cost with the episode's own outages foreseen.
    """

    unforeseen: float
    foreseen: float
    own: float

    @property
    def bound(self) -> float:
        """Estimate of the bound, with the episode's own outages instead of the drawn ones.

        Both have the same mean; this one moves with the episode, so that differences to what
        policies cost on it scatter less.
        """
        return self.own + self.unforeseen - self.foreseen


def outage_bound(
    system: System, episode: Episode, rng: np.random.Generator, blocks: int | None = None
) -> OutageBound:
    """Return what it costs not to foresee the outages of an episode.

    Args:
        system: a system whose grid may fail.
        episode: everything but its outages is known.
        rng: draws the scenarios.
        blocks: number of scenarios with an outage; None for one per step in which one may begin.

    Raises:
        InputError: the grid of the system never fails.
        SolverError: HiGHS proved no optimum.
    """
    down, probability = draw_outages(system, episode.steps, blocks or episode.steps, rng)
    grid_up = np.where(down, 0.0, episode.shared(X.derating))
    scenarios = [with_grid(system, episode, up) for up in grid_up]
    compiled, own = known_model(system, episode)
    solver = Solver(compiled)
    alone = []
    for numbers in (*scenarios, own):
        solver.load(numbers)
        alone.append(solver.solve_lp().objective)
    first = np.argmax(down[:-1], axis=1)
    unforeseen = expected_cost(compiled, system, scenarios, probability, first)
    return OutageBound(unforeseen.lower, float(probability @ np.array(alone[:-1])), alone[-1])


def with_grid(system: System, episode: Episode, grid_up: Array) -> Numbers:
    """Return the numbers of an episode with other hours of outage."""
    values = np.array(episode.values)
    values[:, 4 * len(system.members) + X.grid_up] = grid_up
    return known_model(system, replace(episode, values=values))[1]


def draw_outages(
    system: System, steps: int, blocks: int, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], Array]:
    """Return (blocks + 1, steps) hours of outage and (blocks + 1,) probabilities.

    The last scenario has none.

    Raises:
        InputError: the grid of the system never fails.
    """
    source = system.config.source
    if not isinstance(source, AnalogueSource) or source.outage_start_per_h == 0.0:
        raise InputError(f"system {system.name}: its grid never fails, so nothing is to be bounded")
    start = source.outage_start_per_h * system.dt_h
    end = min(1.0, system.dt_h / source.outage_mean_h)
    spared = (1.0 - start) ** np.arange(steps + 1)
    edges = np.linspace(0, steps, blocks + 1).astype(np.int64)
    down = np.zeros((blocks + 1, steps), dtype=np.bool_)
    probability = np.append(spared[edges[:-1]] - spared[edges[1:]], spared[-1])
    for k in range(blocks):
        weights = spared[edges[k] : edges[k + 1]]
        t = int(edges[k] + rng.choice(len(weights), p=weights / weights.sum()))
        down[k, t] = True
        for later in range(t + 1, steps):
            # A step that follows an outage is down if that goes on, or ends and another begins.
            stays = 1.0 - end * (1.0 - start) if down[k, later - 1] else start
            down[k, later] = rng.random() < stays
    return down, probability
