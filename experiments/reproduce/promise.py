"""What a day-ahead plan promises, and what becomes of days hour by hour.

The promise is the expected cost of the two-stage plan, whose recourse sees the whole scenario. On
the true day nobody does: the plan may be played as it is (open loop), or policies decide each hour
on what is known then.

Source: our choice; docs/model.md section 2 for who knows what when.
"""

from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from baselines import perfect_foresight, policy_named
from baselines.day_ahead import day_ahead, with_risk
from baselines.day_plan import plans_of, solve_day
from baselines.risk import NEUTRAL
from baselines.value_of_information import committed_to
from experiments.reproduce.cases import SPLIT, case_system, futures, known
from mmg_env.env import CommunityEnv
from mmg_env.rollout import rollout
from mmg_env.splits import sample_episode
from mmg_env.trajectory import simulate

POLICIES: Final = ("idle", "tuned_rule", "mpc", "stochastic_mpc", "cvar", "benders")


class DayCosts(NamedTuple):
    """Costs of a test day, currency.

    Attributes:
        promised: expected cost of the two-stage plan.
        bound: what no plan for the scenarios can promise less than.
        open_loop: cost of the true day where the plan is played as it is.
        oracle: bound of the true day with perfect foresight.
    """

    promised: float
    bound: float
    open_loop: float
    oracle: float


def promise(day: int, scenarios: int) -> DayCosts:
    """Plan a test day without risk, and play the plan against the true day.

    What is played are the plan's commitments, and beside them the wishes that are best for the
    mean scenario.

    Args:
        day: number of the test episode.
        scenarios: how many are planned for.
    """
    system = case_system({})
    public = known(system, day)
    drawn = futures(public, day, scenarios)
    problem = day_ahead(public, drawn)
    plan = solve_day(problem, with_risk(problem, NEUTRAL))
    mean = np.einsum("s,s...->...", drawn.probability, drawn.values)
    once = day_ahead(public, replace(drawn, values=mean[None], probability=np.ones(1)))
    firm = committed_to(once, problem.form.of_scenario(plan.x, 0))
    wishes = plans_of(once, solve_day(once, firm).x)[0].requests
    episode = sample_episode(system, SPLIT, day)
    oracle = perfect_foresight(system, episode).bound
    assert oracle is not None  # it proves one, or raises
    open_loop = simulate(system, episode, wishes).cost
    return DayCosts(plan.objective, plan.bound, open_loop, oracle)


def live(policy: str, day: int) -> float:
    """Return what a policy pays for a test day, currency.

    Raises:
        InputError: there is no such policy.
    """
    system = case_system({})
    env = CommunityEnv(system, split=SPLIT)
    return rollout(env, policy_named(policy)(system), options={"episode": day}).cost
