"""From the times of a user's file to steps on a clock without summer time.

A time without offset is the local time of a zone. Where clocks go forward, an hour does not exist;
where they go back, an hour stands twice, and the order of the rows says which one is meant. The
project's days have 24 hours, so they run in the zone's standard time all year.

Source: our choice; zones are those of the IANA data base.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mmg_env.config import CsvSource

Ints = NDArray[np.int64]

DAY_S: Final = 86400
YEARS: Final = (1900, 2200)  # a time outside is a slip, such as a format without century
LISTED: Final = 5  # rows that a sentence names


class Fault(NamedTuple):
    """Something wrong in a file: the rows, none where it is the file itself, and a sentence."""

    rows: tuple[int, ...]
    sentence: str

    def text(self, file: str) -> str:
        """Return the sentence with file and rows before it."""
        if not self.rows:
            return f"{file}: {self.sentence}"
        more = len(self.rows) - LISTED
        listed = ", ".join(str(row) for row in self.rows[:LISTED])
        word = "row" if len(self.rows) == 1 else "rows"
        return f"{file}, {word} {listed}{f' and {more} more' if more > 0 else ''}: {self.sentence}"


def parse_times(texts: Sequence[str], time_format: str) -> list[datetime | None]:
    """Return the times that texts say, None where they say none; `iso` stands for ISO 8601."""
    return [_parsed(text.strip(), time_format) for text in texts]


def _parsed(text: str, time_format: str) -> datetime | None:
    try:
        is_iso = time_format == "iso"
        time = datetime.fromisoformat(text) if is_iso else datetime.strptime(text, time_format)
    except ValueError:
        return None
    return time if YEARS[0] <= time.year <= YEARS[1] else None


def seconds_of(
    source: CsvSource, times: Sequence[datetime | None], rows: Ints
) -> tuple[list[int | None], list[Fault]]:
    """Return seconds since 1970 in UTC, None where a time is no time, and what is wrong."""
    zone = ZoneInfo(source.time_zone)
    found: list[int | None] = []
    absent: list[int] = []
    previous = None
    for number, time in zip(rows.tolist(), times, strict=True):
        second = None if time is None else _second(time, zone, previous)
        if time is not None and second is None:
            absent.append(number)
        previous = previous if second is None else second
        found.append(second)
    sentence = (
        f"there is no such hour in {source.time_zone}, its clocks go forward; if the file has no "
        "summer time, name a zone without it, such as UTC"
    )
    return found, [Fault(tuple(absent), sentence)] if absent else []


def _second(time: datetime, zone: ZoneInfo, previous: int | None) -> int | None:
    """Return a time's second, None for a local time that does not exist."""
    if time.tzinfo is not None:
        return round(time.timestamp())
    early, late = (_utc(time.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if early is None or late is None:
        return None
    return late if previous is not None and early <= previous else early


def _utc(time: datetime) -> int | None:
    """Return a local time's second, None where clocks skip it."""
    moment = time.astimezone(UTC)
    back = moment.astimezone(time.tzinfo).replace(tzinfo=None)
    return round(moment.timestamp()) if back == time.replace(tzinfo=None) else None


def step_faults(
    source: CsvSource, seconds: Sequence[int | None], rows: Ints, step_s: int
) -> list[Fault]:
    """Return what is wrong with the steps from row to row."""
    pairs = [
        (int(rows[i]), before, after)
        for i, (before, after) in enumerate(pairwise(seconds), start=1)
        if before is not None and after is not None
    ]
    apart = [after - before for _, before, after in pairs]
    if not apart:
        return [Fault((), "has fewer than two rows with a time")]
    usual = Counter(apart).most_common(1)[0][0]
    if usual != step_s and usual > 0:
        sentence = f"rows are {usual / 60:g} min apart; they must be dt_h, {step_s / 60:g} min"
        return [Fault((), sentence)]
    wrong: dict[str, list[int]] = {}
    zone = ZoneInfo(source.time_zone)
    for row, before, after in pairs:
        if after - before != step_s:
            wrong.setdefault(_step_fault(before, after, step_s, zone), []).append(row)
    return [Fault(tuple(found), sentence) for sentence, found in wrong.items()]


def _step_fault(before: int, after: int, step_s: int, zone: ZoneInfo) -> str:
    """Return what is wrong between two rows, at the second one."""
    apart = after - before
    if apart == 0:
        return "the time repeats that of the row before"
    if apart < 0:
        return "the time is earlier than that of the row before"
    if apart % step_s:
        return f"{apart / 60:g} min after the row before; it must be {step_s / 60:g} min"
    missing = apart // step_s - 1
    steps = "1 step is" if missing == 1 else f"{missing} steps are"
    turned = _offset(zone, after) < _offset(zone, before)
    hint = "; where clocks go back, the repeated hour must stand twice" if turned else ""
    return f"a gap: {steps} missing before it{hint}"


def _offset(zone: ZoneInfo, second: int) -> timedelta:
    return datetime.fromtimestamp(second, zone).utcoffset() or timedelta()


def standard_seconds(source: CsvSource, seconds: Sequence[int], step_s: int) -> Ints:
    """Return the start of every interval in the zone's standard time, s since 1970."""
    first = datetime.fromtimestamp(seconds[0], ZoneInfo(source.time_zone))
    offset = (first.utcoffset() or timedelta()) - (first.dst() or timedelta())
    shift = round(offset.total_seconds()) - (step_s if source.label == "end" else 0)
    return np.array(seconds, dtype=np.int64) + shift
