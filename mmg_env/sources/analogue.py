"""Placeholder until the real-data source lands."""
from mmg_env.episode import Episode
from mmg_env.system import System


def sample(system: System, split: str, index: int) -> Episode:
    """Not yet."""
    raise NotImplementedError
