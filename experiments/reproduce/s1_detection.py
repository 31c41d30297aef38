"""How well a centre finds lies in `mmg reproduce s1`, on days of which it knows what is public.

Source: our choice; Bian & Ji 2025 ask how fraud is suppressed.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.audits import Detection, detect
from baselines.bargaining.bargain import uniform
from baselines.bargaining.known_days import Days, days
from experiments.reproduce.s1_cases import system_of

Array = NDArray[np.float64]

METERED: Final = "series, tariff and exchange"
PUBLIC: Final = "series and tariff alone"
_SEED: Final = 0  # of the lies that are drawn


class Detected(NamedTuple):
    """What a centre finds, by what it knows.

    Attributes:
        found: by what it knows of a day.
        audited: days of split `train` that it has learnt from.
        suspected: days of split `test` on which lies are drawn.
    """

    found: Mapping[str, Detection]
    audited: int
    suspected: int


def detected(name: str, audited: int, suspected: int) -> Detected:
    """Return what a centre finds in a system.

    Args:
        name: of the system.
        audited: days of which it knows what was saved.
        suspected: days of which it does not.
    """
    system = system_of(name)
    past, now = days(system, "train", audited), days(system, "test", suspected)
    power = uniform(len(system.participants))

    def look(known: str) -> Detection:
        seen = _known(past, known), _known(now, known)
        rng = np.random.default_rng(_SEED)
        return detect(seen, (past.savings, now.savings), power, rng)

    return Detected({known: look(known) for known in (METERED, PUBLIC)}, audited, suspected)


def _known(of: Days, known: str) -> Array:
    return of.known if known == METERED else of.series
