"""`info`: a dictionary whose entries are computed where they are looked at.

An environment hands one out at every step, and most are never read.

Source: our choice.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmg_env.layout import PROJECTED_KW, F

Array = NDArray[np.float64]

AFTER_STEP = ("ledger", "flows", "projection", "constraints")
"""Keys that exist once a step has been played."""


def safety_channel(flows: Array, dt_h: float) -> dict[str, Array]:
    """Return what constrained learning keeps small, summed over the participants.

    Args:
        flows: (..., participants, len(F)) of one step.
        dt_h: length of the step, h.

    Returns:
        unserved_kwh, unserved_heat_kwh, spill_kwh and projection_kw, each (...).
    """

    def total(*columns: F) -> Array:
        # One after another, so that a batch adds in the same order as a single community.
        amount = np.zeros(flows.shape[:-2])
        for column in columns:
            for participant in range(flows.shape[-2]):
                amount = amount + flows[..., participant, column]
        return amount

    return {
        "unserved_kwh": total(F.unserved_kw) * dt_h,
        "unserved_heat_kwh": total(F.unserved_heat_kw) * dt_h,
        "spill_kwh": total(F.spill_kw) * dt_h,
        "projection_kw": total(*(F[name] for name in PROJECTED_KW)),
    }


class LazyInfo(dict[str, Any]):
    """A dictionary with known keys; a subclass says which, and what stands behind each.

    A copy, a union, and what crosses to another process are plain dictionaries.
    """

    __slots__ = ()

    def _known(self) -> tuple[str, ...]:
        """Return the keys in order."""
        raise NotImplementedError

    def _compute(self, key: str) -> Any:
        """Return the value of a known key; KeyError for any other."""
        raise NotImplementedError

    def __missing__(self, key: str) -> Any:
        """Compute one of the known keys."""
        value = self._compute(key)
        self[key] = value
        return value

    def _fill(self) -> None:
        for key in self._known():
            if not super().__contains__(key):
                self[key] = self._compute(key)

    def __contains__(self, key: object) -> bool:
        """Return whether a key is there or can be computed."""
        return super().__contains__(key) or key in self._known()

    def __iter__(self) -> Iterator[str]:
        """Iterate over all keys."""
        self._fill()
        return super().__iter__()

    def __len__(self) -> int:
        """Return the number of keys."""
        self._fill()
        return super().__len__()

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or default where there is none."""
        return self[key] if key in self else default  # noqa: SIM401  # computes

    def keys(self) -> Any:
        """Return all keys."""
        self._fill()
        return super().keys()

    def values(self) -> Any:
        """Return all values."""
        self._fill()
        return super().values()

    def items(self) -> Any:
        """Return all pairs."""
        self._fill()
        return super().items()

    def __copy__(self) -> dict[str, Any]:
        """Return a plain dict with all keys."""
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        """Return a plain dict with copies of all values."""
        return deepcopy(self.copy(), memo)

    def copy(self) -> dict[str, Any]:
        """Return a plain dict with all keys."""
        self._fill()
        return dict(super().items())

    def __or__(self, other: Any) -> Any:
        """Return the union as a plain dict."""
        return self.copy() | other

    def __ror__(self, other: Any) -> Any:
        """Return the union as a plain dict."""
        return other | self.copy()

    def __eq__(self, other: object) -> bool:
        """Return whether all keys and values are equal."""
        return bool(self.copy() == other)

    def __ne__(self, other: object) -> bool:
        """Return whether any key or value differs."""
        return not self == other

    def __repr__(self) -> str:
        """Show all keys and values."""
        return repr(self.copy())

    def pop(self, key: str, *default: Any) -> Any:
        """Remove a key and return its value."""
        self._fill()
        return super().pop(key, *default)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a plain dict without `public`: it would cross to another process every step."""
        kept = {key: value for key, value in self.copy().items() if key.lstrip("_") != "public"}
        return (dict, (kept,))
