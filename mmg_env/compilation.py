"""How this package's scalar code is compiled, and how its cache on disk stays true.

numba notices an edit of the file that holds a compiled function, but not of the files whose
functions or column numbers it has built in. So caches older than any of those files are removed
before the first use.

Source: our choice.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numba

_FOLDER: Final = Path(__file__).parent
_SOURCES: Final = (
    "compilation.py",
    "layout.py",
    "kernel.py",
    "forecasting.py",
    "observation.py",
    "hour.py",
    "batch.py",
)


def _remove_stale_caches() -> None:
    newest = max((_FOLDER / name).stat().st_mtime for name in _SOURCES if (_FOLDER / name).exists())
    for index in (_FOLDER / "__pycache__").glob("*.nbi"):
        with suppress(OSError):
            if index.stat().st_mtime < newest:
                index.unlink()


_remove_stale_caches()

# Every helper is inlined into the loop that calls it: passing a handful of arrays to a function
# costs more than most of these functions. Nothing here makes an array, so numba's counting of
# references is switched off: counts are kept with atomic operations, one per view of an array, and
# those took six times as long as the physics.
_NO_COUNTING: Final[dict[str, Any]] = {"_nrt": False}
jit: Final[Any] = numba.njit(cache=True, error_model="numpy", forceinline=True, **_NO_COUNTING)

# For what makes arrays, or returns a view of one.
jit_with_arrays: Final[Any] = numba.njit(cache=True, error_model="numpy", forceinline=True)

# For what runs long enough to share the time with other threads.
jit_without_lock: Final[Any] = numba.njit(
    cache=True, error_model="numpy", nogil=True, **_NO_COUNTING
)
