"""Who lies about what it saves, and how much: the game of quotes, in closed form.

Participant i of N, with power omega, quotes less than it saves. Its lie lambda in [0, .9] hides a
share of an equal part of the surplus, and payments follow the quotes::

    quoted[i] = saved[i] - lambda[i] S' / N
    pi[i] = quoted[i] - omega[i] sum quoted

Costs that are exaggerated kill trades (friction tau), and audits find lies (strength kappa), fines
for which go to the others in equal parts::

    S' = S (1 - tau mean lambda)
    fine[i] = kappa S lambda[i]^2 / (2 N)
    gain[i] = S' (omega[i] + (lambda[i] - omega[i] sum lambda) / N)
              - fine[i] + sum_{j != i} fine[j] / (N - 1)

The gain is concave in the own lie; so the best response is ::

    clip( ((1 - omega) - tau omega - tau (1 - 2 omega) sum_{j != i} lambda[j] / N)
          / (kappa + 2 tau (1 - omega) / N),  0,  .9)

and what is best for all at once depends on the sum of lies alone::

    lambda[i] = clip( ((1 - omega) - tau omega - tau / N (1 - 2 omega) sum lambda)
                      / (kappa + tau / N),  0,  .9)

The sum of the right sides is piecewise linear in the sum of lies, and grows more slowly than it; so
there is one equilibrium, which is found exactly.

Source: Bian & Ji 2025, section 4.1, steps (1) to (5) of the iteration; the game is our choice, as
the paper's formulas are not public.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.errors import InputError

Array = NDArray[np.float64]

MOST: Final = 0.9  # the largest lie
FRICTION: Final = 0.2
DECEPTIVE: Final = 1.0  # strength of audits that leave lies worth their while
SUPPRESSED: Final = 10.0  # strength of audits that hardly do
DAMPING: Final = 0.5
TOLERANCE: Final = 1e-3
ROUNDS: Final = 500


@dataclass(frozen=True, eq=False)
class Game:
    """Who bargains, and what stands against lies.

    Attributes:
        power: (participants,) bargaining powers, which sum up to 1.
        friction: share of the surplus that is lost where everyone hides all its part, tau, 0..1.
        audits: strength of audits, kappa, not negative.
    """

    power: Array
    friction: float = FRICTION
    audits: float = DECEPTIVE

    def __post_init__(self) -> None:
        """Check the numbers."""
        if (self.power < 0.0).any() or abs(self.power.sum() - 1.0) > 1e-9:
            raise InputError(f"game: power is {self.power}; none is negative, the sum is 1")
        if not 0.0 <= self.friction <= 1.0:
            raise InputError(f"game: friction is {self.friction}; 0..1 is allowed")
        if not 0.0 <= self.audits < np.inf:
            raise InputError(f"game: audits is {self.audits}; a number from 0 is allowed")

    @property
    def participants(self) -> int:
        """Their number."""
        return len(self.power)

    @property
    def temptation(self) -> Array:
        """What a first lie brings each, per S / N, (participants,)."""
        return np.asarray((1.0 - self.power) - self.friction * self.power)

    def surplus(self, lies: Array, surplus: float = 1.0) -> float:
        """Return what is left of a surplus of honest participants, currency."""
        return surplus * (1.0 - self.welfare_loss(lies))

    def welfare_loss(self, lies: Array) -> float:
        """Return the share of the surplus that lies destroy."""
        return self.friction * float(lies.mean())

    def gains(self, lies: Array, surplus: float = 1.0) -> Array:
        """Return what each gains in the end, fines included, (participants,), currency.

        Args:
            lies: (participants,) shares.
            surplus: of honest participants, currency.
        """
        left = self.surplus(lies, surplus)
        kept = (lies - self.power * lies.sum()) / self.participants
        return np.asarray(left * (self.power + kept) - fines(lies, surplus, self.audits))

    def best_responses(self, lies: Array) -> Array:
        """Return the lie that is best for each, the others' being as they are, (participants,)."""
        w, n = self.power, self.participants
        others = lies.sum() - lies
        slope = self.temptation - self.friction * (1.0 - 2.0 * w) * others / n
        return _limited(slope, self.audits + 2.0 * self.friction * (1.0 - w) / n)

    def at_sum(self, total: float) -> Array:
        """Return lies of which none is regretted where all of them sum up to this."""
        n = self.participants
        slope = self.temptation - self.friction / n * (1.0 - 2.0 * self.power) * total
        return _limited(slope, np.full(n, self.audits + self.friction / n))


@dataclass(frozen=True, eq=False)
class Adjustment:
    """How participants came to their lies.

    Attributes:
        trace: (rounds + 1, participants) lies, from none on.
    """

    trace: Array

    @property
    def lies(self) -> Array:
        """The last ones, (participants,)."""
        return np.asarray(self.trace[-1])

    @property
    def settled(self) -> bool:
        """Whether the last round changed nobody's by more than the tolerance."""
        return bool(np.abs(np.diff(self.trace[-2:], axis=0)).max() <= TOLERANCE)


@dataclass(frozen=True, eq=False)
class Effect:
    """What audits of one strength do.

    Attributes:
        audits: their strength, kappa.
        lies: (participants,) in equilibrium.
        welfare_loss: share of the surplus destroyed.
        gains: (participants,) shares of the honest surplus, which sum up to what is left of it.
        redistributed: share of the honest surplus that goes to others than the powers say.
    """

    audits: float
    lies: Array
    welfare_loss: float
    gains: Array
    redistributed: float


def fines(lies: Array, surplus: float, audits: float) -> Array:
    """Return what audits are expected to cost each, (participants,), currency, paid > 0.

    What one is fined goes to the others in equal parts, so the sum is 0. Nobody is fined where
    there is no surplus, or nobody else.

    Args:
        lies: (participants,) shares.
        surplus: of honest participants, currency.
        audits: their strength, kappa.
    """
    return handed_on(audits * max(surplus, 0.0) * lies**2 / (2.0 * len(lies)))


def handed_on(taken: Array) -> Array:
    """Return what each pays where what is taken of one goes to the others in equal parts.

    Args:
        taken: (..., participants) currency.

    Returns:
        (..., participants) paid > 0, currency; the sum is 0, and so is each where one is alone.
    """
    count = taken.shape[-1]
    if count == 1:
        return np.zeros_like(taken)
    others = taken.sum(axis=-1, keepdims=True) - taken
    return np.asarray(taken - others / (count - 1))


def hidden(lies: Array, surplus: float) -> Array:
    """Return what each hides of its saving, (participants,), currency.

    Args:
        lies: (participants,) shares.
        surplus: what all save together in truth, currency.
    """
    return lies * surplus / len(lies)


def adjust(game: Game, damping: float = DAMPING) -> Adjustment:
    """Let all answer at once to what the others did, half way, from honesty on, until they settle.

    Where more than seven hardly audited participants bargain, they may never settle; `equilibrium`
    finds what they miss.
    """
    trace = [np.zeros(game.participants)]
    for _ in range(ROUNDS):
        lies = trace[-1]
        trace.append(lies + damping * (game.best_responses(lies) - lies))
        if np.abs(trace[-1] - lies).max() <= TOLERANCE:
            break
    return Adjustment(np.array(trace))


def equilibrium(game: Game) -> Array:
    """Return the only lies of which nobody regrets its own, (participants,), to rounding."""
    n = game.participants
    width = game.audits + game.friction / n
    if width == 0.0:
        return game.at_sum(0.0)
    bend = game.friction / n * (1.0 - 2.0 * game.power)
    bent = bend != 0.0
    ends = [(game.temptation[bent] - lie * width) / bend[bent] for lie in (0.0, MOST)]
    sums = np.unique(np.clip(np.concatenate([[0.0, MOST * n], *ends]), 0.0, MOST * n))
    excess = np.array([total - game.at_sum(total).sum() for total in sums])
    after = int(np.argmax(excess >= 0.0))
    if after == 0:
        return game.at_sum(float(sums[0]))
    part = excess[after] / (excess[after] - excess[after - 1])
    return game.at_sum(float(sums[after] - part * (sums[after] - sums[after - 1])))


def lies_of(power: Array, friction: float = FRICTION, audits: float = DECEPTIVE) -> Array:
    """Return the lies of the equilibrium of a game, (participants,)."""
    return equilibrium(Game(power, friction, audits))


def against_audits(
    power: Array, friction: float = FRICTION, strengths: Sequence[float] = (0, 1, 2, 4, 10)
) -> tuple[Effect, ...]:
    """Return what audits of some strengths do to lies, welfare and who gets it."""
    effects = []
    for audits in strengths:
        game = Game(power, friction, audits)
        lies = equilibrium(game)
        gains = game.gains(lies)
        moved = 0.5 * float(np.abs(gains - power * game.surplus(lies)).sum())
        effects.append(Effect(audits, lies, game.welfare_loss(lies), gains, moved))
    return tuple(effects)


def _limited(slope: Array, curvature: Array) -> Array:
    """Return where slope - curvature * lie vanishes within the limits, (participants,)."""
    curved = curvature > 0.0
    at = np.where(slope > 0.0, MOST, 0.0)
    np.divide(slope, curvature, out=at, where=curved)
    return np.clip(at, 0.0, MOST)
