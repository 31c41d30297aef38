"""Participants of `mmg reproduce s1` that learn what to quote, each alone.

Source: the study is that of `experiments.misquoting`.
"""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

from experiments.misquoting import Findings, Size, study


def available() -> bool:
    """Return whether what learning needs is installed."""
    return find_spec("torch") is not None and find_spec("stable_baselines3") is not None


def learned(name: str, size: Size, strength: float) -> Findings:
    """Return what participants of a system learn under audits of one strength."""
    return study(name, size, (strength,))


def joined(parts: Sequence[Findings]) -> Findings | None:
    """Return what was learned under audits of several strengths; None where nothing was."""
    if not parts:
        return None
    return replace(parts[0], found=tuple(one for part in parts for one in part.found))
