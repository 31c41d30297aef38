"""What Bian & Ji 2025 report of cooperation, bargaining and fraud: its tables, quoted.

Source: Bian & Ji 2025, Energies 18, 4635, the tables of iterations and of costs. Its instance and
its machine are its own.
"""

from typing import Final, NamedTuple

PAPER: Final = (
    "Bian, Ji 2025, A Robust Collaborative Optimization of Multi-Microgrids and Shared Energy "
    "Storage in a Fraudulent Environment, Energies 18, 4635"
)

RESIDUAL: Final = 0.1
"""Its convergence precision zeta, of P1 and of P2."""


class Reported(NamedTuple):
    """A column of its cost table, CNY.

    Attributes:
        alone: "break-even point cost".
        cooperation: "cooperation cost".
        fraud: "fraud cost".
        final: "negotiation conclusion cost".
        gain: "benefit increase value".
    """

    alone: float
    cooperation: float
    fraud: float
    final: float
    gain: float


COSTS: Final = {
    "MG1": Reported(24_360.83, 21_733.16, 1041.79, 23_618.23, 742.60),
    "MG2": Reported(26_888.18, 22_591.83, 2007.84, 25_818.26, 1069.92),
    "MG3": Reported(15_070.36, 14_423.83, -1278.17, 13_618.96, 1451.40),
    "ces": Reported(0.0, 161.30, -1771.28, -5130.56, 5130.56),
}
ALLIANCE: Final = {
    "alone": 66_319.37,
    "cooperation": 58_910.12,
    "final": 57_924.89,
    "gain": 8394.48,
}
"""Its last column; it prints no sum of fraud costs."""


class Effort(NamedTuple):
    """Iterations and solution time, s."""

    iterations: int
    seconds: float


WELFARE: Final = {3: Effort(6, 4278.3), 4: Effort(12, 5965.9)}
"""Of "maximizing social welfare" (P1), by the number of microgrids."""
BENEFITS: Final = {3: Effort(15, 27.1), 4: Effort(23, 33.2)}
"""Of "distribution of benefits" (P2), likewise."""


def unexplained() -> float:
    """Return by how much its final costs lie below its cooperation costs together, CNY.

    Payments among participants sum up to 0, so this would be 0.
    """
    return ALLIANCE["cooperation"] - ALLIANCE["final"]


def fraud_sum() -> float:
    """Return the sum of its fraud costs, CNY."""
    return sum(column.fraud for column in COSTS.values())
