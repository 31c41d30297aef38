"""Participants that plan as a coalition every hour, each with its own model, as a policy.

Every hour they agree on what passes between them over the horizon (`cooperation`), each makes the
best of its part, and does the first hour of it. What a day has scheduled is not talked about again.

A participant may quote what cooperation costs it with a margin: it then acts as if every kWh sent
or received cost it that much more. Trades are lost by it; what is kept is settled afterwards
(`settlement`), on quotes.

Source: Bian & Ji 2025, section 4; the rolling horizon is that of `mpc`, the margin our choice.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from baselines.bargaining.bargain import uniform
from baselines.bargaining.carrying_out import balanced, carried_out, undecided
from baselines.bargaining.coalition import Coalition, divided
from baselines.bargaining.cooperation import agents_of, common_price, in_parallel
from baselines.bargaining.margins import margins, with_margins
from baselines.bargaining.quoting import DECEPTIVE, SUPPRESSED, lies_of
from baselines.branching import Search
from baselines.compiled import Compiled
from baselines.exclusivity import find_pairs
from baselines.mpc import GAP, NODES, WHOLE_HOURS, commitments, directed
from baselines.negotiation import Round
from baselines.plans import Values, requests
from baselines.programme import Programme
from baselines.rolling_horizon import window_at, window_numbers, window_rows
from mmg_env.actions import ActionCodec
from mmg_env.public import PublicInfo
from mmg_env.system import System

Array = NDArray[np.float64]

ROUNDS: Final = 60
AGREED: Final = 1e-3  # relative residuals


class NashMpc:
    """Model predictive control by participants who negotiate.

    Attributes:
        lies: (participants,) share of half the spread between the retail prices that each adds to
            what a traded kWh costs it.
        audits: strength of the audits under which they are settled.
    """

    def __init__(self, system: System, lies: Array | None = None, audits: float = 0.0) -> None:
        """Take the system, who lies, and how strong audits are."""
        self.lies = np.zeros(len(system.participants)) if lies is None else lies
        self.audits = audits
        self._system = system
        self._codec = ActionCodec(system)
        self._said: tuple[Compiled, Round] | None = None

    def reset(self, rng: np.random.Generator) -> None:  # noqa: ARG002
        """Forget what was said last."""
        self._said = None

    def act(self, observation: NDArray[Any], info: Mapping[str, Any]) -> Array:  # noqa: ARG002
        """Return this hour's wishes and, at a day's first step, its commitments."""
        public: PublicInfo = info["public"]
        system, window = self._system, window_at(self._system, public.step)
        rows = window_rows(system, window, public.forecast)
        compiled, numbers = window_numbers(system, window, public.state, rows)
        margin = margins(system, self.lies, rows)
        quoted = with_margins(compiled, numbers, margin, system.dt_h)
        coalition = divided(system, compiled, quoted, rows)
        exchanged, price = self._agree(coalition)
        binary = commitments(compiled, window.hour, WHOLE_HOURS)
        pairs = find_pairs(compiled, numbers, directed(system, window))

        def solve(p: int, programme: Programme) -> Array:
            own = undecided(coalition.pieces[p], binary, pairs)
            search = Search(programme.solver(), programme.numbers, *own)
            search.run(GAP, NODES)
            return search.relaxed if search.best is None else search.best.x

        solutions = carried_out(coalition, exchanged, price, solve)
        values = Values(compiled, coalition.joint(solutions))
        request = requests(system, values, rows)[window.hour]
        return np.clip(self._codec.encode(request), -1.0, 1.0)

    def _agree(self, coalition: Coalition) -> tuple[tuple[Array, ...], Array]:
        """Return what each does in the common rows, and their prices, after a negotiation."""
        agents = agents_of(coalition)
        start = None
        if self._said is not None and self._said[0] is coalition.compiled:
            start = self._said[1]
        for said in islice(in_parallel(coalition, agents, start=start), ROUNDS):
            if max(said.residuals.primal, said.residuals.dual) <= AGREED:
                break
        self._said = coalition.compiled, said
        return balanced(coalition, said.taken_kw), common_price(coalition, said.price)


def deceptive(system: System) -> NashMpc:
    """Return participants of equal power who lie as much as weak audits leave worth their while."""
    return _lying(system, DECEPTIVE)


def suppressed(system: System) -> NashMpc:
    """Return the same under strong audits."""
    return _lying(system, SUPPRESSED)


def _lying(system: System, audits: float) -> NashMpc:
    """Return participants who lie as in the equilibrium of the game of quotes."""
    return NashMpc(system, lies_of(uniform(len(system.participants)), audits=audits), audits)
