"""Who is caught lying about what it saves, and what that changes.

The centre has seen days that were audited. By least squares, with a ridge, it says what each
participant should save on a day, from what it knows of that (`known_days`); sigma is the spread of
leave-one-out residuals. A participant is flagged when in a block of five days it quotes, on at
least two, by more than two sigma less than it should save. A flag is followed by an audit, which
finds what was hidden; that goes to the others in equal parts::

    quoted[i] = saved[i] - lambda[i] S / N
    gain[i] = hidden[i] + omega[i] (S - sum hidden) - seized[i] + sum_{j != i} seized[j] / (N - 1)

Trust stands beside bargaining power: a flag halves it, a block without one brings back half of what
lacks. Lies are drawn: half of the participants are honest, the others' lies are uniform on [0, .9].

Source: our choice; Bian & Ji 2025, section 4.1 has the lies.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.quoting import FRICTION, MOST, handed_on
from mmg_env.errors import InputError

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

BLOCK: Final = 5  # days
TIMES: Final = 2  # of them
SIGMAS: Final = 2.0
RIDGE: Final = 1.0  # on features of unit variance
HONEST: Final = 0.5  # share of participants
HALVED: Final = 0.5
RECOVERED: Final = 0.5


@dataclass(frozen=True, eq=False)
class Expectation:
    """What the centre expects everyone to save.

    Attributes:
        mean: (features,) of audited days.
        scale: (features,) their standard deviation.
        weights: (features + 1, participants) currency per unit of scale; the last is the mean.
        sigma: (participants,) how far off it is, currency.
    """

    mean: Array
    scale: Array
    weights: Array
    sigma: Array

    def savings(self, known: Array) -> Array:
        """Return what each should save, (days, participants), currency.

        Args:
            known: (days, features).
        """
        scaled = (known - self.mean) / self.scale
        return np.asarray(scaled @ self.weights[:-1] + self.weights[-1])

    def lacking(self, known: Array, quoted: Array) -> Array:
        """Return by how many sigma each quotes less than it should, (..., days, participants).

        Args:
            known: (days, features).
            quoted: (..., days, participants) savings, currency.
        """
        return np.asarray((self.savings(known) - quoted) / self.sigma)


@dataclass(frozen=True, eq=False)
class Roc:
    """Who is flagged at which threshold, from none to all.

    Attributes:
        threshold: (points,) sigmas, falling.
        false_rate: (points,) share of the honest that are flagged.
        true_rate: (points,) share of the liars that are.
    """

    threshold: Array
    false_rate: Array
    true_rate: Array

    @property
    def area(self) -> float:
        """How probably a liar stands out more than an honest one, ties as one half."""
        return float(np.trapezoid(self.true_rate, self.false_rate))


@dataclass(frozen=True, eq=False)
class Stage:
    """Who has what.

    Attributes:
        redistributed: share of the surplus that goes to others than the powers say.
        liars: what liars gain over what is due to them.
        honest: what honest participants gain over what is due to them.
    """

    redistributed: float
    liars: float
    honest: float


@dataclass(frozen=True, eq=False)
class Detection:
    """How lies were found.

    Attributes:
        lies: (draws, participants) shares.
        scores: (draws, blocks, participants) sigmas that are lacking on two days at least.
        sigma: (participants,) of the expectation, currency.
        precision: share of liars among the flagged; nan where nobody is.
        recall: share of the liars' blocks that are flagged.
        roc: the same for all thresholds.
        quoted: as nobody looks.
        seized: as what was hidden is given to the others.
        distrusted: as the flagged lose bargaining power, too.
        welfare_loss: share of the surplus that the lies would destroy by friction.
        welfare_loss_after: the same where the flagged are honest.
    """

    lies: Array
    scores: Array
    sigma: Array
    precision: float
    recall: float
    roc: Roc
    quoted: Stage
    seized: Stage
    distrusted: Stage
    welfare_loss: float
    welfare_loss_after: float


def expect(known: Array, savings: Array, ridge: float = RIDGE) -> Expectation:
    """Return what audited days say of others.

    Args:
        known: (days, features).
        savings: (days, participants) as audited, currency.
        ridge: weight of the squared weights, the mean's excepted.

    Raises:
        InputError: there are fewer days than features, twice.
    """
    count, features = known.shape
    if count < 2 * features:
        raise InputError(f"audits: {count} days for {features} features; take at least twice these")
    mean, spread = known.mean(axis=0), known.std(axis=0)
    scale = np.where(spread > 0.0, spread, 1.0)
    scaled = np.column_stack([(known - mean) / scale, np.ones(count)])
    inverse = np.linalg.inv(scaled.T @ scaled + ridge * np.diag(np.arange(features + 1) < features))
    weights = inverse @ scaled.T @ savings
    leverage = np.einsum("ij,jk,ik->i", scaled, inverse, scaled)
    missed = (savings - scaled @ weights) / (1.0 - leverage)[:, None]
    return Expectation(mean, scale, weights, np.sqrt((missed**2).mean(axis=0)))


def draw_lies(draws: int, participants: int, rng: np.random.Generator) -> Array:
    """Return lies of random communities, (draws, participants), half of them 0."""
    shape = (draws, participants)
    honest = rng.random(shape) < HONEST
    return np.where(honest, 0.0, rng.uniform(0.0, MOST, shape))


def scores_of(lacking: Array) -> Array:
    """Return the sigmas that are lacking on two days of each block, (..., blocks, participants).

    Args:
        lacking: (..., days, participants); days after the last whole block are left out.
    """
    blocks = lacking.shape[-2] // BLOCK
    shape = (*lacking.shape[:-2], blocks, BLOCK, lacking.shape[-1])
    by_block = lacking[..., : blocks * BLOCK, :].reshape(shape)
    return np.asarray(np.sort(by_block, axis=-2)[..., -TIMES, :])


def roc_of(scores: Array, liars: Flags) -> Roc:
    """Return who is flagged at which threshold; both arrays have one entry per suspect.

    Raises:
        InputError: all are liars, or none is.
    """
    if liars.all() or not liars.any():
        raise InputError("audits: liars and honest ones are needed to tell them apart")
    order = np.argsort(-scores, kind="stable")
    threshold, liar = scores[order], liars[order]
    last = np.append(np.diff(threshold) != 0.0, True)
    true = np.append(0.0, (np.cumsum(liar) / liar.sum())[last])
    false = np.append(0.0, (np.cumsum(~liar) / (~liar).sum())[last])
    return Roc(np.append(np.inf, threshold[last]), false, true)


def seized(hidden: Array, flagged: Flags) -> Array:
    """Return what audits take from each, (..., participants), paid > 0; the sum is 0.

    Args:
        hidden: (..., participants) currency.
        flagged: (..., participants) who is audited.
    """
    return handed_on(np.where(flagged, hidden, 0.0))


def next_trust(trust: Array, flagged: Flags) -> Array:
    """Return trust after a block, (..., participants), 0..1."""
    return np.where(flagged, HALVED * trust, trust + RECOVERED * (1.0 - trust))


def trusted(power: Array, trust: Array) -> Array:
    """Return bargaining powers weighed with trust, (..., participants), which sum up to 1."""
    weighed = power * trust
    return np.asarray(weighed / weighed.sum(axis=-1, keepdims=True))


def detect(
    known: tuple[Array, Array],
    savings: tuple[Array, Array],
    power: Array,
    rng: np.random.Generator,
    draws: int = 200,
) -> Detection:
    """Return how lies are found on days of which the centre has learnt from others.

    Args:
        known: (days, features) of audited days, and of those in question.
        savings: (days, participants) of both, in truth.
        power: (participants,) bargaining powers.
        rng: draws the lies, which stay the same for all days.
        draws: communities that are drawn.

    Raises:
        InputError: there are too few days for the features.
    """
    expectation = expect(known[0], savings[0])
    lies = draw_lies(draws, len(power), rng)
    surplus = np.maximum(savings[1].sum(axis=1), 0.0)
    hidden = lies[:, None, :] * surplus[:, None] / len(power)
    scores = scores_of(expectation.lacking(known[1], savings[1] - hidden))
    flagged = scores > SIGMAS
    liars = np.broadcast_to(lies[:, None, :] > 0.0, scores.shape)
    whole = scores.shape[1] * BLOCK
    block_hidden = hidden[:, :whole].reshape(draws, -1, BLOCK, len(power)).sum(axis=2)
    block_surplus = surplus[:whole].reshape(-1, BLOCK).sum(axis=1)[:, None]
    due = np.broadcast_to(power * block_surplus, scores.shape)
    left = block_surplus - block_hidden.sum(axis=-1, keepdims=True)
    taken = seized(block_hidden, flagged)
    weighed = trusted(power, _trust(flagged))
    return Detection(
        lies,
        scores,
        expectation.sigma,
        float((flagged & liars).sum() / flagged.sum()) if flagged.any() else float("nan"),
        float((flagged & liars).sum() / liars.sum()),
        roc_of(scores.ravel(), liars.ravel()),
        _stage(block_hidden + power * left, due, liars),
        _stage(block_hidden + power * left - taken, due, liars),
        _stage(block_hidden + weighed * left - taken, due, liars),
        FRICTION * float(lies.mean()),
        FRICTION * float(np.where(flagged, 0.0, lies[:, None, :]).mean()),
    )


def _trust(flagged: Flags) -> Array:
    """Return the trust in which each block begins, (draws, blocks, participants)."""
    trust = np.ones(flagged.shape)
    for block in range(1, flagged.shape[1]):
        trust[:, block] = next_trust(trust[:, block - 1], flagged[:, block - 1])
    return trust


def _stage(gains: Array, due: Array, liars: Flags) -> Stage:
    """Return who has what; arrays are (draws, blocks, participants)."""
    return Stage(
        0.5 * float(np.abs(gains - due).sum() / due.sum()),
        float(gains[liars].sum() / due[liars].sum()),
        float(gains[~liars].sum() / due[~liars].sum()),
    )
