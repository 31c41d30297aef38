"""Payments agreed by pairs of participants who tell one another prices only (ADMM).

Participant i saves a[i] before it pays, has the power omega[i], and trades with n others. For each
trade it has its own copy p[i,j] of the prices of the day, and both copies should be the same::

    max  omega[i] ln G,   G = a[i] - sum_j v[i,j] p[i,j],    subject to    p[i,j] = p[j,i]

v[i,j] is what i receives of j, hour by hour, less what it delivers to it. Money is counted in a
unit S, prices of a pair in S over the norm of its energy, so that energy u = v / |v| has norm 1:
q = p |v| / S. Told the other's copy z, and with a multiplier y of its own, participant i has ::

    max  omega ln G - sum_j ( y[j] (q[j] - z[j]) + gamma/2 |q[j] - z[j]|^2 )

whose condition omega/G u[j] + y[j] + gamma (q[j] - z[j]) = 0 gives q once G is known; put into G,
it gives a quadratic equation for it::

    q[j] = z[j] - y[j]/gamma - omega/(gamma G) u[j],    G = A + n omega/(gamma G)
    A = a - sum_j u[j] (z[j] - y[j]/gamma),             G = (A + sqrt(A^2 + 4 n omega/gamma)) / 2

Then both sides of a trade change their multipliers, y[j] = y[j] + gamma (q[j] - z[j]), each from
the two copies that it knows; one side's is the other's with opposite sign.

In turns, z is the other's latest copy. In parallel, z is the mean of both copies of the round
before, and multipliers change by half as much; that is ADMM of two blocks, which always converges.

Trades carry money between those only whom a chain of trades connects. So each such group shares
what it saves itself, and who trades nothing pays nothing.

Source: Bian & Ji 2025, section 4.3 (in turns; gamma 10, ended at a residual of .1); Boyd et al.
2011, section 7.2 (in parallel). The units are our choice.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.bargain import Bargain
from baselines.bargaining.trades import Pairs
from baselines.solution import Stop
from mmg_env.errors import InputError

Array = NDArray[np.float64]

GAMMA: Final = 10.0
PAPER_PER_KWH: Final = 0.1
"""Residual at which the paper ends, currency per kWh."""


ENDING: Final = Stop(gap=1e-5, iterations=500, time_s=np.inf)
"""Both residuals are at most this share of what all save together."""


class Public(NamedTuple):
    """What all know.

    Attributes:
        unit: of money, currency.
        gamma: weight of disagreement.
        step: 1 in turns, .5 in parallel.
    """

    unit: float
    gamma: float = GAMMA
    step: float = 1.0


class Trader:
    """One participant: it knows its own saving, power and trades, and what it is told.

    Attributes:
        price: (partners, steps) its copies, currency per kWh.
        gain: what it would be left with, currency, as of its last answer.
    """

    def __init__(
        self, saving: float, power: float, kwh: Array, start: Array, public: Public
    ) -> None:
        """Take the participant's part.

        Args:
            saving: what it saves before it pays, currency.
            power: its bargaining power.
            kwh: (partners, steps) what it receives of each less what it delivers.
            start: (partners, steps) prices to begin with, currency per kWh.
            public: what all know.
        """
        self.price, self.gain = start, saving
        self._saving, self._power, self._public = saving / public.unit, power, public
        norm = np.linalg.norm(kwh, axis=1, keepdims=True)
        self._energy, self._scale = kwh / norm, norm / public.unit
        self._multiplier = np.zeros_like(kwh)

    def answer(self, told: Array) -> Array:
        """Return its best copies, (partners, steps), currency per kWh.

        Args:
            told: (partners, steps) the partners' copies.
        """
        gamma, partners = self._public.gamma, len(told)
        near = told + (1.0 - self._public.step) * (self.price - told)
        aim = self._scale * near - self._multiplier / gamma
        a = self._saving - float((self._energy * aim).sum())
        gain = 0.5 * (a + np.sqrt(a**2 + 4.0 * partners * self._power / gamma))
        # omega / (gamma G) in a form that holds without power, too.
        copies = aim - (gain - a) / partners * self._energy
        self.gain = float(gain * self._public.unit)
        self.price = copies / self._scale
        return self.price

    def learn(self, told: Array) -> None:
        """Change the multipliers by how far the partners' copies are from its own.

        Args:
            told: (partners, steps) the partners' copies.
        """
        rate = self._public.step * self._public.gamma
        self._multiplier = self._multiplier + rate * self._scale * (self.price - told)


class Progress(NamedTuple):
    """One round.

    Attributes:
        number: 0-based.
        apart_per_kwh: norm of the differences between the two copies of all prices.
        apart: the same in money, as a share of the unit.
        moved: by how much the copies have changed in the round, in money, likewise.
        time_s: since the start, s.
    """

    number: int
    apart_per_kwh: float
    apart: float
    moved: float
    time_s: float


class Said(NamedTuple):
    """What has been said after a round.

    Attributes:
        price: (2, pairs, steps) copies of the first and of the second of each pair.
        progress: how far they are apart.
    """

    price: Array
    progress: Progress


@dataclass(frozen=True, eq=False)
class Settlement:
    """What was agreed.

    Attributes:
        price: (pairs, steps) currency per kWh, mean of both copies.
        payments: (participants,) paid > 0, currency; the sum is 0.
        trace: one entry per round.
    """

    price: Array
    payments: Array
    trace: tuple[Progress, ...]


def restricted(bargain: Bargain, pairs: Pairs) -> Array:
    """Return the payments of a bargain that trades can carry, (participants,), paid > 0, currency.

    Those whom trades connect share what they save together. Where trades connect all, these are
    the payments of the bargain.

    Raises:
        InputError: some who trade save nothing together, or none of them has any power.
    """
    payments = np.zeros(pairs.participants)
    for group in range(int(pairs.groups.max()) + 1):
        inside = np.flatnonzero(pairs.groups == group)
        if len(inside) < 2:
            continue
        surplus, power = float(bargain.savings[inside].sum()), bargain.power[inside]
        if surplus <= 0.0 or power.sum() <= 0.0:
            raise InputError(
                f"payments: participants {inside.tolist()}, who trade with one another, save "
                f"{surplus:g} and have the power {power.sum():g}; both must be greater than 0"
            )
        payments[inside] = bargain.savings[inside] - power / power.sum() * surplus
    return payments


def settle_in_turns(
    bargain: Bargain, pairs: Pairs, start: Array, stop: Stop = ENDING, gamma: float = GAMMA
) -> Settlement:
    """Agree on payments one after the other, as the paper does.

    Args:
        bargain: savings and powers.
        pairs: who trades.
        start: (steps,) prices to begin with, currency per kWh.
        stop: when to end; its gap is that of both residuals, as shares of the unit.
        gamma: weight of disagreement.

    Raises:
        InputError: as in `restricted`.
    """
    return _settled(bargain, pairs, start, stop, Public(_unit(bargain, pairs), gamma, 1.0))


def settle_in_parallel(
    bargain: Bargain, pairs: Pairs, start: Array, stop: Stop = ENDING, gamma: float = GAMMA
) -> Settlement:
    """Agree on payments, all answering at once; the arguments are those of `settle_in_turns`.

    Raises:
        InputError: as in `restricted`.
    """
    return _settled(bargain, pairs, start, stop, Public(_unit(bargain, pairs), gamma, 0.5))


def _unit(bargain: Bargain, pairs: Pairs) -> float:
    """Return what all who trade save together, currency, if each group of them saves something."""
    restricted(bargain, pairs)
    trading = np.union1d(pairs.first, pairs.second)
    return float(bargain.savings[trading].sum()) if len(trading) else 1.0


def traders_of(bargain: Bargain, pairs: Pairs, start: Array, public: Public) -> list[Trader]:
    """Return a trader for each participant; none knows another's saving, power or trades."""
    return [
        Trader(
            float(bargain.savings[p]),
            float(bargain.power[p]),
            pairs.signs(p)[:, None] * pairs.kwh[pairs.of(p)],
            np.tile(start, (len(pairs.of(p)), 1)),
            public,
        )
        for p in range(pairs.participants)
    ]


def rounds_of_prices(
    traders: Sequence[Trader], pairs: Pairs, start: Array, public: Public
) -> Iterator[Said]:
    """Yield round after round, without end; traders without a partner are not asked."""
    began = time.perf_counter()
    price = np.tile(start, (2, len(pairs.first), 1))
    scale = np.linalg.norm(pairs.kwh, axis=1, keepdims=True) / public.unit
    own = [pairs.of(p) for p in range(len(traders))]
    sides = [(pairs.first[at] != p).astype(np.int64) for p, at in enumerate(own)]
    asked = [who for who in zip(traders, own, sides, strict=True) if len(who[1])]
    for number in count():
        before = price.copy()
        for trader, at, side in asked:
            heard = price if public.step == 1.0 else before
            price[side, at] = trader.answer(heard[1 - side, at])
        for trader, at, side in asked:
            trader.learn(price[1 - side, at])
        apart, moved = price[0] - price[1], price - before
        spent = time.perf_counter() - began
        absolute, relative, change = map(_norm, (apart, scale * apart, scale * moved))
        yield Said(price.copy(), Progress(number, absolute, relative, change, spent))


def _norm(values: Array) -> float:
    return float(np.linalg.norm(values))


def _settled(
    bargain: Bargain, pairs: Pairs, start: Array, stop: Stop, public: Public
) -> Settlement:
    """Return where rounds end."""
    trace = []
    traders = traders_of(bargain, pairs, start, public)
    for said in rounds_of_prices(traders, pairs, start, public):
        trace.append(said.progress)
        last = said.progress
        agreed = max(last.apart, last.moved) <= stop.gap
        if agreed or last.time_s > stop.time_s or len(trace) >= stop.iterations:
            break
    mean = said.price.mean(axis=0)
    return Settlement(mean, pairs.paid(mean), tuple(trace))
