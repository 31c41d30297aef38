"""mmg_env: communities of microgrids with shared storage, hour by hour.

Importing this package registers the Gymnasium environments `mmg/Community-v0` and one per suite.
"""

from typing import TYPE_CHECKING, Any

import gymnasium

from mmg_env.config_file import suite_names
from mmg_env.env import CommunityEnv
from mmg_env.episode import Episode
from mmg_env.errors import ConfigError, InputError
from mmg_env.kpis import kpis
from mmg_env.public import PublicInfo
from mmg_env.rollout import Policy, rollout
from mmg_env.series import Forecast, Scenarios
from mmg_env.splits import nominal_episode, sample_episode
from mmg_env.system import System, load_system
from mmg_env.trajectory import Trajectory
from mmg_env.vector import CommunityVectorEnv
from mmg_env.wrappers import CommitmentByPeriod, CommitmentByPolicy

if TYPE_CHECKING:
    from mmg_env.parallel import CommunityParallelEnv as CommunityParallelEnv
else:

    def __getattr__(name: str) -> Any:
        """Import CommunityParallelEnv where it is asked for: it needs PettingZoo, an extra."""
        if name == "CommunityParallelEnv":
            from mmg_env.parallel import CommunityParallelEnv

            return CommunityParallelEnv
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# Bumped, with an entry in the changelog, when a suite's numbers change.
_VERSIONS = {
    "s1_3mg": 1,
    "s1_4mg": 0,
    "s2_crh": 0,
    "community_real": 1,
    "resilience": 0,
    "scarcity": 0,
    "large_50": 0,
    "tiny": 0,
}


def environment_id(suite: str) -> str:
    """Return the Gymnasium id of a suite: `mmg/<CamelCase>-v<version>`."""
    name = "".join(word[:1].upper() + word[1:] for word in suite.split("_"))
    return f"mmg/{name}-v{_VERSIONS.get(suite, 0)}"


def _register() -> None:
    points: Any = {
        "entry_point": "mmg_env.env:CommunityEnv",
        "vector_entry_point": "mmg_env.vector:CommunityVectorEnv",
    }
    gymnasium.register("mmg/Community-v0", **points)
    for suite in suite_names():
        gymnasium.register(environment_id(suite), **points, kwargs={"system": suite})


_register()

__all__ = [
    "CommitmentByPeriod",
    "CommitmentByPolicy",
    "CommunityEnv",
    "CommunityVectorEnv",
    "ConfigError",
    "Episode",
    "Forecast",
    "InputError",
    "Policy",
    "PublicInfo",
    "Scenarios",
    "System",
    "Trajectory",
    "environment_id",
    "kpis",
    "load_system",
    "nominal_episode",
    "rollout",
    "sample_episode",
]
