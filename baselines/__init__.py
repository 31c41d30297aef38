"""baselines: reference policies and optimisers over the one dispatch model.

`POLICIES` maps a name to a factory `system -> Policy`; `perfect_foresight` is the bound that no
policy beats, and takes the episode openly.
"""

from collections.abc import Callable, Mapping

from baselines.deterministic import perfect_foresight
from baselines.mpc import Mpc, as_usual
from baselines.replay import replay
from baselines.rule_hours import cover_own_need, follow_prices
from baselines.rules import Idle, Random, RulePolicy, tuned_rule
from baselines.solution import Plan, Solution
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
}

__all__ = ["POLICIES", "Plan", "Solution", "perfect_foresight", "replay"]
