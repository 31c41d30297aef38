"""Policies as tests play them: those that plan against scenarios do so against few, to be fast."""

from baselines import POLICIES, playable, policy_named
from baselines.committed_mpc import CommittedMpc, kind_for
from baselines.risk import NEUTRAL, Risk
from baselines.stochastic_mpc import StochasticMpc

FEW = 2
# Those that think for long, and the cases in which that takes little time.
SLOW = {
    "robust": ("s1_3mg", "tiny", "failing grid"),
    "robust_ph": ("tiny",),
    "robust_affine": ("s1_3mg", "tiny"),
    "robust_mpc": ("tiny", "failing grid"),
    "wasserstein": ("tiny",),
    "nash_cooperative": ("tiny", "failing grid"),
    "nash_deceptive": ("s1_3mg",),
    "nash_suppressed": ("tiny",),
}
PLANNERS = {
    "benders": lambda system: CommittedMpc(system, kind_for(system), NEUTRAL, FEW),
    "stochastic_mpc": lambda system: StochasticMpc(system, NEUTRAL, FEW),
    "cvar": lambda system: StochasticMpc(system, Risk(), FEW),
    **{name: POLICIES[name] for name in SLOW},
}


def player(name, system):
    """Return a policy; what it may see and pay does not depend on how many futures it draws."""
    return PLANNERS[name](system) if name in PLANNERS else policy_named(name)(system)


def players_of(case, system):
    """Return the names of the policies that are played in a case, those soon done among them."""
    return [name for name in playable(system) if case in SLOW.get(name, (case,))]
