"""baselines: reference policies and optimisers over the one dispatch model.

`POLICIES` maps a name to a factory `system -> Policy`; `perfect_foresight` is the bound that no
policy beats, and takes the episode openly.
"""

from collections.abc import Callable, Mapping

from baselines.agent import (
    PREFIX,
    Agent,
    Facts,
    Learned,
    ResidualAgent,
    TeamAgent,
    agent_folder,
    read_agent,
    shipped_agents,
    unfit_for,
)
from baselines.bargaining.policy import NashMpc, deceptive, suppressed
from baselines.committed_mpc import CommittedMpc, kind_for
from baselines.deterministic import perfect_foresight
from baselines.dynamic_programming import DynamicProgramming
from baselines.learned_forecast import ForecastAgent, LearnedForecast
from baselines.mpc import Mpc, as_usual
from baselines.replay import replay
from baselines.risk import NEUTRAL, Risk
from baselines.robust.day_policy import (
    RobustDay,
    by_affine_rules,
    by_generation,
    by_hedging,
    doubtful,
    several,
    without_failures,
)
from baselines.robust.hour_policy import RobustMpc
from baselines.rule_hours import cover_own_need, follow_prices
from baselines.rules import Idle, Random, RulePolicy, tuned_rule
from baselines.solution import Plan, Solution
from baselines.stochastic_mpc import StochasticMpc
from mmg_env.errors import InputError
from mmg_env.rollout import Policy
from mmg_env.system import System

POLICIES: Mapping[str, Callable[[System], Policy]] = {
    "idle": Idle,
    "self_consumption": lambda system: RulePolicy(system, cover_own_need),
    "time_of_use": lambda system: RulePolicy(system, follow_prices),
    "tuned_rule": tuned_rule,
    "random": Random,
    "mpc_climatology": lambda system: Mpc(system, as_usual),
    "mpc": Mpc,
    "benders": lambda system: CommittedMpc(system, kind_for(system), NEUTRAL),
    "stochastic_mpc": StochasticMpc,
    "cvar": lambda system: StochasticMpc(system, Risk()),
    "robust": lambda system: RobustDay(system, by_generation),
    "robust_ph": lambda system: RobustDay(system, by_hedging, several),
    "robust_affine": lambda system: RobustDay(system, by_affine_rules, without_failures),
    "robust_mpc": RobustMpc,
    "wasserstein": lambda system: RobustDay(system, by_generation, doubtful),
    "nash_cooperative": NashMpc,
    "nash_deceptive": deceptive,
    "nash_suppressed": suppressed,
    "dynamic_programming": DynamicProgramming,
}

# Some policies need to know more than a system's devices.
_NEEDS: Mapping[str, tuple[str, Callable[[System], bool]]] = {
    "tuned_rule": ("a block `tuned_rule`", lambda system: system.config.tuned_rule is not None),
    "mpc_climatology": ("a `source`", lambda system: system.config.source is not None),
    "dynamic_programming": (
        "the source `markov`",
        lambda system: system.config.source is not None and system.config.source.kind == "markov",
    ),
}


def policy_named(name: str) -> Callable[[System], Policy]:
    """Return how to make a policy: one of `POLICIES`, or an agent by its name or folder.

    Raises:
        InputError: there is no such policy.
    """
    if name in POLICIES:
        return POLICIES[name]
    facts, learned = read_agent(agent_folder(name))
    return lambda system: _agent(system, facts, learned)


def _agent(system: System, facts: Facts, learned: Learned) -> Policy:
    if reason := unfit_for(facts, system):
        raise InputError(reason)
    if isinstance(learned, LearnedForecast):
        return ForecastAgent(system, learned)
    if facts.kind == "team":
        return TeamAgent(learned, system)
    if facts.kind == "residual":
        return ResidualAgent(learned, policy_named(facts.base)(system), facts.scale)
    return Agent(learned)


def missing_for(policy: str, system: System) -> str:
    """Return what a system lacks that a policy needs, in words; nothing if it can be played."""
    need, met = _NEEDS.get(policy, ("", lambda _: True))
    return "" if met(system) else need


def playable(system: System) -> list[str]:
    """Return the names of the policies that can be played on a system, shipped agents included."""
    policies = [name for name in POLICIES if not missing_for(name, system)]
    agents = [PREFIX + name for name in shipped_agents()]
    return policies + [a for a in agents if not unfit_for(read_agent(agent_folder(a))[0], system)]


__all__ = [
    "POLICIES",
    "Plan",
    "Solution",
    "missing_for",
    "perfect_foresight",
    "playable",
    "policy_named",
    "replay",
]
