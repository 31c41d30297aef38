"""Where episodes come from: one module per kind of source, each a function of (split, index)."""

from collections.abc import Callable, Mapping

from mmg_env.episode import Episode
from mmg_env.sources import analogue, history, markov, recorded, scenes
from mmg_env.system import System

SAMPLERS: Mapping[str, Callable[[System, str, int], Episode]] = {
    "analogue": analogue.sample,
    "csv": recorded.sample,
    "history": history.sample,
    "markov": markov.sample,
    "scenes": scenes.sample,
}
NOMINAL: Mapping[str, Callable[[System], Episode]] = {"scenes": scenes.nominal}
