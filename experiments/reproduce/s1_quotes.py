"""What everyone pays where quotes are true, where they deceive, and where audits suppress that.

In the game of `baselines.bargaining.quoting` the surplus that lies destroy shrinks everyone's
saving in proportion::

    saved' = saved S' / S,    pi = saved' - gain,    final = alone - gain

so payments sum up to 0, and final costs to the cost alone less S'.

Source: the game is our choice, as are tau and kappa; Bian & Ji 2025, section 4.1 for the question.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.bargain import Bargain
from baselines.bargaining.quoting import DECEPTIVE, FRICTION, SUPPRESSED, Game, equilibrium

Array = NDArray[np.float64]

HONEST: Final = "honest"
DECEIVING: Final = "deceptive"
SUPPRESSING: Final = "suppressed"
MODES: Final[Mapping[str, float | None]] = {
    HONEST: None,
    DECEIVING: DECEPTIVE,
    SUPPRESSING: SUPPRESSED,
}
"""Strength of audits where quotes may deceive; none where they are true."""


class Paid(NamedTuple):
    """How a bargain ends.

    Attributes:
        lies: (participants,) shares.
        surplus: what all save together in the end, currency.
        pays: (participants,) what each pays the others, fines included, currency.
        final: (participants,) what each pays in the end, currency.
        gains: (participants,) currency.
    """

    lies: Array
    surplus: float
    pays: Array
    final: Array
    gains: Array


def paid(bargain: Bargain, audits: float | None, friction: float = FRICTION) -> Paid:
    """Return how a bargain ends.

    Args:
        bargain: with true costs.
        audits: strength of audits where everyone quotes what is best for it; None if all are true.
        friction: share of the surplus that is lost where everyone hides all its part.
    """
    surplus = bargain.surplus
    game = Game(bargain.power, friction, 0.0 if audits is None else audits)
    lies = np.zeros(game.participants) if audits is None else equilibrium(game)
    gains, left = game.gains(lies, surplus), game.surplus(lies, surplus)
    kept = 1.0 - game.welfare_loss(lies)
    return Paid(lies, left, bargain.savings * kept - gains, bargain.disagreement - gains, gains)


def by_mode(bargain: Bargain) -> dict[str, Paid]:
    """Return how a bargain ends in every mode."""
    return {mode: paid(bargain, audits) for mode, audits in MODES.items()}
