"""Policies as tests play them: those that plan against scenarios do so against few, to be fast."""

from baselines import policy_named
from baselines.committed_mpc import CommittedMpc, kind_for
from baselines.risk import NEUTRAL, Risk
from baselines.stochastic_mpc import StochasticMpc

FEW = 2
PLANNERS = {
    "benders": lambda system: CommittedMpc(system, kind_for(system), NEUTRAL, FEW),
    "stochastic_mpc": lambda system: StochasticMpc(system, NEUTRAL, FEW),
    "cvar": lambda system: StochasticMpc(system, Risk(), FEW),
}


def player(name, system):
    """Return a policy; what it may see and pay does not depend on how many futures it draws."""
    return PLANNERS[name](system) if name in PLANNERS else policy_named(name)(system)
