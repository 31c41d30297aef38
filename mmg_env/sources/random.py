"""Random streams that depend on names and numbers only, never on the order of use.

A stream is a Philox generator whose key is a hash of (suite, split, series name) and whose counter
starts at the episode's index. A member that joins a system therefore changes no other series.

Source: Salmon et al. 2011 (counter-based random numbers); the keying is our choice.
"""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def stream(suite: str, split: str, index: int, series: str) -> np.random.Generator:
    """Return the generator of one series of one episode."""
    digest = blake2b(f"{suite}/{split}/{series}".encode(), digest_size=16).digest()
    key = np.frombuffer(digest, dtype=np.uint64)
    return np.random.Generator(np.random.Philox(counter=[0, 0, 0, index], key=key))


def student(rng: np.random.Generator, size: int, dof: float = 5.0) -> Array:
    """Return Student-t draws scaled to unit variance: heavy tails."""
    return np.asarray(rng.standard_t(dof, size) * np.sqrt((dof - 2.0) / dof))


def autoregressive(innovations: Array, phi: Array | float) -> Array:
    """Return e_h = phi * e_{h-1} + z_h along the first axis, from e_{-1} = 0."""
    path = np.array(innovations, dtype=np.float64)
    for h in range(1, len(path)):
        path[h] += phi * path[h - 1]
    return path
