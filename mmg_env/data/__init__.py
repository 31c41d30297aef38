"""The embedded real series: hourly tables, checked against their provenance.

Four tables ship with the package (`NAMES`); `PROVENANCE.md` says where each
came from and what was done to it, `provenance.json` holds the same facts for
programs. Nothing here needs pandas or the packages that built the tables.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmg_env.data.anchors import contradictions, lag_matches
from mmg_env.errors import InputError

Array = NDArray[Any]

NAMES = ("prices_nl", "prices_ercot", "sites", "demand")

_HOUR = np.timedelta64(1, "h")


@lru_cache(maxsize=1)
def _provenance_text() -> str:
    return (files(__name__) / "provenance.json").read_text(encoding="utf-8")


def provenance() -> dict[str, Any]:
    """Facts about all tables: source, licence, unit, time zone, hash, reference values.

    Returns:
        A fresh copy of `provenance.json`; changing it changes nothing else.
    """
    facts: dict[str, Any] = json.loads(_provenance_text())
    return facts


def table_facts(name: str) -> dict[str, Any]:
    """The provenance of one table.

    Args:
        name: One of `NAMES`.

    Raises:
        InputError: There is no such table.
    """
    if name not in NAMES:
        raise InputError(f"no table named {name!r}; the embedded tables are {', '.join(NAMES)}")
    facts: dict[str, Any] = provenance()["tables"][name]
    return facts


@lru_cache(maxsize=len(NAMES))
def _read(name: str) -> dict[str, Array]:
    """Read one table once; the hash is that of the bytes that are parsed."""
    expected = table_facts(name)["sha256"]
    raw = (files(__name__) / f"{name}.parquet").read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != expected:
        raise InputError(
            f"{name}.parquet is not the file that provenance.json describes: "
            f"its sha256 is {found}, expected {expected}. Reinstall the package, "
            "or rebuild the tables with `python -m mmg_env.data.build`."
        )
    import pyarrow.parquet as pq  # here, so that importing the package stays quick

    table = pq.read_table(io.BytesIO(raw))
    columns: dict[str, Array] = {}
    for label in table.column_names:
        values = np.array(table.column(label).to_numpy())
        values.flags.writeable = False
        columns[label] = values
    return columns


def load(name: str) -> dict[str, Array]:
    """Load an embedded table.

    Args:
        name: One of `NAMES`.

    Returns:
        Read-only arrays by column name, `time` among them (`datetime64[ms]`,
        start of the hour, in the time zone that `table_facts(name)["time"]`
        names). The arrays are shared between calls, the dict is not.

    Raises:
        InputError: There is no such table, or its file is not the one described.
    """
    return dict(_read(name))


def load_days(name: str) -> dict[str, Array]:
    """Load an embedded table as whole days of local standard time.

    Prices of the Netherlands are stored in UTC, but people, markets and the
    other tables live by local time, so their days begin one hour earlier in
    UTC. Incomplete days at either end are left out.

    Args:
        name: One of `NAMES`.

    Returns:
        `date` (n,) as `datetime64[D]`, and every column as a read-only array
        (n, 24) over the hours 0..23 of local standard time.
    """
    table = load(name)
    local = table.pop("time") + table_facts(name)["time"]["day_offset_h"] * _HOUR
    hour = (local - local.astype("datetime64[D]")) // _HOUR
    first = int(np.argmax(hour == 0))
    end = first + 24 * ((len(local) - first) // 24)
    days = {"date": local[first:end:24].astype("datetime64[D]")}
    days |= {label: values[first:end].reshape(-1, 24) for label, values in table.items()}
    for values in days.values():
        values.flags.writeable = False
    return days


def check(name: str, table: Mapping[str, Array]) -> None:
    """Test that a table still says what its provenance says, and what is known without it.

    The tests are meant for the errors that a hash of a wrongly rebuilt file
    cannot see: a unit (EUR/MWh for EUR/kWh), a shift by an hour (label at the
    end of the interval, daylight saving), gaps and repeated hours. A build that
    wrote its own wrong references too is caught by `anchors`.

    Args:
        name: One of `NAMES`.
        table: What `load(name)` returns, or a candidate for it.

    Raises:
        InputError: One sentence per finding.
    """
    findings = find_faults(table, table_facts(name)) or contradictions(name, table)
    if findings:
        raise InputError(f"table {name!r}: " + " ".join(findings))


def find_faults(table: Mapping[str, Array], facts: Mapping[str, Any]) -> list[str]:
    """All deviations of a table from its facts, as sentences (see `check`)."""
    specs = facts["columns"]
    if set(table) != {"time", *specs}:
        return [f"The columns are {sorted(table)}, expected {sorted(['time', *specs])}."]
    findings = _time_faults(table["time"], facts["time"])
    for label, spec in specs.items():
        values = np.asarray(table[label], dtype=float)
        if len(values) != facts["rows"]:
            findings.append(f"{label} has {len(values)} rows, expected {facts['rows']}.")
        elif not np.isfinite(values).all():
            findings.append(
                f"{label} has {np.sum(~np.isfinite(values))} values that are not finite."
            )
        else:
            findings += _value_faults(label, values, spec)
    return findings


def _time_faults(time: Array, spec: Mapping[str, Any]) -> list[str]:
    findings = []
    if np.any(np.diff(time) != _HOUR):
        findings.append(f"time has {np.sum(np.diff(time) != _HOUR)} steps that are not one hour.")
    for edge, found in (("first", time[0]), ("last", time[-1])):
        if found != np.datetime64(spec[edge]):
            findings.append(f"The {edge} hour is {found}, expected {spec[edge]}.")
    return findings


def _value_faults(label: str, values: Array, spec: Mapping[str, Any]) -> list[str]:
    """Range, level and the hour of the day at which things happen."""
    findings: list[str] = []
    low, high = spec["range"]
    if values.min() < low or values.max() > high:
        findings.append(
            f"{label} spans {values.min():.6g}..{values.max():.6g} {spec['unit']}, "
            f"allowed is {low:g}..{high:g}."
        )
    if abs(values.mean() - spec["mean"]) > 0.01 * abs(spec["mean"]):
        findings.append(f"{label} has the mean {values.mean():.6g}, expected {spec['mean']:.6g}.")
    if "mean_by_hour" in spec:
        by_hour = values.reshape(-1, 24).mean(axis=0)
        findings += _shape_faults(label, by_hour, np.array(spec["mean_by_hour"]))
        if "solar_noon_h" in spec:
            findings += _noon_faults(label, by_hour, spec["solar_noon_h"])
    return findings


def _shape_faults(label: str, by_hour: Array, reference: Array) -> list[str]:
    """A series that is late agrees with its reference day best at another lag than 0."""
    if by_hour.std() == 0:
        return [f"{label} has no daily shape."]
    match = lag_matches(by_hour, reference)
    best = int(np.argmax(match))
    if best != 0 or match[0] < 0.99:
        return [
            f"{label} matches its reference day best when moved back by {best} h "
            f"(correlation {match[best]:.3f}, as it is {match[0]:.3f})."
        ]
    return []


def _noon_faults(label: str, by_hour: Array, noon: float) -> list[str]:
    """Light is centred on solar noon, which follows from the longitude alone."""
    if by_hour.min() < 0 or by_hour.sum() == 0:
        return [f"{label} is not an output of PV: it is negative, or zero all year."]
    centre = float(np.average(np.arange(24) + 0.5, weights=by_hour))
    if abs(centre - noon) > 0.4:
        return [f"{label} is centred on {centre:.2f} h, solar noon is at {noon:.2f} h."]
    return []
