"""A plan stepped through the environment: the test that optimiser and simulator agree.

Source: docs/model.md section 10, law 2.
"""

from baselines.solution import Plan
from mmg_env.env import CommunityEnv
from mmg_env.episode import Episode
from mmg_env.errors import InputError
from mmg_env.system import System
from mmg_env.trajectory import Trajectory


def replay(system: System, episode: Episode, plan: Plan) -> Trajectory:
    """Play a plan's wishes against an episode, action by action.

    Raises:
        InputError: plan, system and episode do not fit one another.
    """
    wanted = (episode.steps, system.request_size)
    if plan.requests.shape != wanted:
        raise InputError(
            f"replay: the plan has shape {plan.requests.shape} (steps, entries); {system.name} "
            f"and the episode need {wanted}"
        )
    env = CommunityEnv(system)
    env.reset(options={"episode": episode})
    for request in plan.requests:
        env.step(env.actions.encode(request))
    return env.trajectory
