"""Faults planted in the embedded tables, with hash and references rebuilt to fit them."""

import hashlib
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from experiments.realism import realism
from mmg_env import data
from mmg_env.data import Array, build
from mmg_env.data.anchors import contradictions
from mmg_env.errors import InputError

FOLDER = files("mmg_env.data")
Table = dict[str, Array]
Damage = Callable[[Table, str], Array]

# A typical year's wind has no clock of its own: the one column whose hour nothing holds.
TIMED = [
    (name, label)
    for name in data.NAMES
    for label in data.table_facts(name)["columns"]
    if label != "day_type" and not label.startswith("wind")
]
SIZED = [
    (name, label)
    for name in data.NAMES
    for label in data.table_facts(name)["columns"]
    if label.startswith(("spot", "pv", "wind", "load", "heat"))
]


def scaled(factor: float) -> Damage:
    return lambda table, label: (table[label] * np.float32(factor)).astype(np.float32)


def moved(hours: int) -> Damage:
    return lambda table, label: np.roll(table[label], hours)


def on_summer_clock(table: Table, label: str) -> Array:
    """The half of the year with summer time is an hour late, as if it were clock time."""
    month = table["time"].astype("datetime64[M]").astype(int) % 12
    summer = (month >= 3) & (month <= 9)
    return np.where(summer, np.roll(table[label], 1), table[label])


def planted(name: str, label: str, damage: Damage) -> Table:
    table = data.load(name)
    table[label] = damage(table, label)
    return table


def rebuilt_facts(name: str, table: Table) -> dict[str, object]:
    """The facts that the build would write of a wrong table."""
    facts = data.table_facts(name)
    facts["columns"] = build.describe_columns(table, data.provenance()["sites"])
    return facts


@pytest.mark.parametrize("name", data.NAMES)
def test_the_tables_agree_with_their_anchors(name: str) -> None:
    assert contradictions(name, data.load(name)) == []


@pytest.mark.parametrize("factor", [0.001, 0.9, 1.1, 1000.0])
@pytest.mark.parametrize(("name", "label"), SIZED)
def test_a_wrong_scale_is_caught(name: str, label: str, factor: float) -> None:
    table = planted(name, label, scaled(factor))
    assert any(label in finding for finding in contradictions(name, table))


@pytest.mark.parametrize("hours", [1, -1])
@pytest.mark.parametrize(("name", "label"), TIMED)
def test_a_wrong_hour_is_caught(name: str, label: str, hours: int) -> None:
    table = planted(name, label, moved(hours))
    assert any(label in finding for finding in contradictions(name, table))


# Heat has one standard day for the whole year, most of it in winter.
@pytest.mark.parametrize(("name", "label"), [row for row in TIMED if "heat" not in row[1]])
def test_a_summer_on_clock_time_is_caught(name: str, label: str) -> None:
    table = planted(name, label, on_summer_clock)
    assert any(label in finding for finding in contradictions(name, table))


@pytest.mark.parametrize("days", [1, -1])
@pytest.mark.parametrize(
    ("name", "label"),
    [
        *[(name, label) for name, label in TIMED if label.startswith(("spot", "load"))],
        ("demand", "day_type"),
    ],
)
def test_a_wrong_day_is_caught(name: str, label: str, days: int) -> None:
    table = planted(name, label, moved(24 * days))
    assert any(label in finding for finding in contradictions(name, table))


@pytest.mark.parametrize(
    ("name", "label", "damage"),
    [
        ("prices_nl", "spot_eur_per_kwh", scaled(0.998)),
        ("prices_nl", "spot_eur_per_kwh", moved(1)),
        ("prices_nl", "spot_eur_per_kwh", on_summer_clock),
        ("sites", "wind_a", scaled(0.9)),
        ("sites", "pv_a", scaled(0.9)),
        ("demand", "load_village", moved(1)),
    ],
)
def test_references_of_a_wrong_build_see_nothing(name: str, label: str, damage: Damage) -> None:
    """What the anchors are for: the wrong build's own facts agree with its wrong numbers."""
    table = planted(name, label, damage)
    assert data.find_faults(table, rebuilt_facts(name, table)) == []
    assert contradictions(name, table)


@pytest.fixture
def wrongly_rebuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """A data folder of a build that was an hour late in the prices, with its hash and facts."""
    table = planted("prices_nl", "spot_eur_per_kwh", moved(1))
    content = build.encode_table(table)
    facts = data.provenance()
    facts["tables"]["prices_nl"] = rebuilt_facts("prices_nl", table) | {
        "sha256": hashlib.sha256(content).hexdigest()
    }
    for name in data.NAMES:
        source = (FOLDER / f"{name}.parquet").read_bytes()
        (tmp_path / f"{name}.parquet").write_bytes(content if name == "prices_nl" else source)
    (tmp_path / "provenance.json").write_text(json.dumps(facts), encoding="utf-8")
    monkeypatch.setattr(data, "files", lambda _: tmp_path)
    for cache in (data._read, data._provenance_text):
        cache.cache_clear()
    yield table
    for cache in (data._read, data._provenance_text):
        cache.cache_clear()


def test_a_wrong_file_with_a_fitting_hash_is_caught(wrongly_rebuilt: Table) -> None:
    loaded = data.load("prices_nl")
    assert np.array_equal(loaded["spot_eur_per_kwh"], wrongly_rebuilt["spot_eur_per_kwh"])
    with pytest.raises(InputError, match=r"2023-11-23T23 UTC, published was 84\.72"):
        data.check("prices_nl", loaded)


@pytest.mark.usefixtures("wrongly_rebuilt")
def test_the_study_refuses_a_wrong_file() -> None:
    with pytest.raises(InputError, match="published was"):
        realism()
