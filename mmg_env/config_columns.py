"""Checks between a system and the series of the user's own that its source `csv` names.

Source: our choice.
"""

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from mmg_env.config_checks import HOURS, Problem, did_you_mean

if TYPE_CHECKING:
    from mmg_env.config import SystemConfig


def column_problems(config: "SystemConfig") -> Iterator[Problem]:
    """Yield what is wrong between a system and the columns and days of its source."""
    yield from _columns(config)
    yield from _ranges(config)


def recorded_series(config: "SystemConfig") -> dict[str, bool]:
    """Return the series that a file can tell about a system, and whether it must."""
    known = {
        f"{member.name}.{kind}": True
        for member in config.members
        for kind in ("wind", "pv", "load", "heat")
        if getattr(member, kind) is not None
    }
    at_wholesale = config.ces is not None and config.ces.market.price == "spot"
    follows = config.tariff.kind in ("dynamic", "feed_in")
    known["spot"] = at_wholesale or follows or config.day_ahead.grid
    return known | {"short_premium": False, "long_premium": False}


def _columns(config: "SystemConfig") -> Iterator[Problem]:
    """Every series of the system has a column of the source `csv`, in a unit of its kind."""
    source = config.source
    if source is None or source.kind != "csv":
        return
    known = recorded_series(config)
    for name, column in source.columns.items():
        field = ("source", "columns", name)
        if name not in known:
            sentence = f"no series of this system ({', '.join(known)}){did_you_mean(name, known)}"
            yield Problem(field, sentence)
            continue
        units = ("kW", "MW", "per_unit") if "." in name else ("per_kwh", "per_MWh")
        if column.unit not in units:
            sentence = f"{column.unit} must be one of {', '.join(units)}"
            yield Problem((*field, "unit"), sentence)
    for name, is_needed in known.items():
        if is_needed and name not in source.columns:
            yield Problem(("source", "columns"), f"{name} is missing; the system needs it")


def _ranges(config: "SystemConfig") -> Iterator[Problem]:
    """The days of each split of the source `csv` hold its episodes, no two on the same day."""
    if config.source is None or config.source.kind != "csv":
        return
    length = -(-config.episode_h // HOURS)
    for split in ("train", "val", "test", "shift"):
        first, last = (date.fromisoformat(day) for day in getattr(config.source.splits, split))
        starts = max(0, (last - first).days + 2 - length)
        wanted = 1 if split == "train" else getattr(config.splits, split)
        if starts < wanted:
            sentence = (
                f"has {starts} days on which an episode of {length} days can start; it must have "
                f"{wanted}"
                + ("" if split == "train" else f", one for each episode (splits.{split})")
            )
            yield Problem(("source", "splits", split), sentence)
