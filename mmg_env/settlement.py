"""Settlement: payments among participants for a whole episode, made when it is over.

They stand in the ledger's last step, in the column `settlement`, which the kernel leaves 0. Real
costs do not change by them.

Source: Bian & Ji 2025, section 4.2 (payments after the fact); where they stand is our choice.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.errors import InputError
from mmg_env.layout import L
from mmg_env.trajectory import Trajectory

Array = NDArray[np.float64]

ROUNDING: Final = 1e-9
"""Most that payments may sum up to, as a share of the sum of their sizes."""


def settled(trajectory: Trajectory, payments: Array) -> Trajectory:
    """Return an episode with payments in its ledger; others that stood there are replaced.

    Args:
        trajectory: an episode that was played to its end.
        payments: (participants,) what each pays the others, currency; below 0 it is paid.

    Raises:
        InputError: the episode is not over, or payments are not one finite number for each
            participant, or do not sum up to zero.
    """
    _check(trajectory, payments)
    ledger = trajectory.ledger.copy()
    ledger[-1, :, L.settlement] = payments
    ledger.flags.writeable = False
    return replace(trajectory, ledger=ledger)


def _check(trajectory: Trajectory, payments: Array) -> None:
    count = len(trajectory.system.participants)
    if payments.shape != (count,):
        shape = f"payments have shape {payments.shape}"
        raise InputError(f"settlement: {shape}; they must be one for each of {count} participants")
    if not np.isfinite(payments).all():
        raise InputError(f"settlement: payments are {payments}; all must be finite numbers")
    total, size = float(payments.sum()), float(np.abs(payments).sum())
    if abs(total) > ROUNDING * size:
        text = f"payments are {payments} and sum up to {total:g}"
        raise InputError(f"settlement: {text}; what one pays another must get, so it must be 0")
    if not np.isfinite(trajectory.ledger).all():
        raise InputError("settlement: the episode is not over; play its last step first")
