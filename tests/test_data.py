"""The embedded series: untouched, complete, plausible, and guarded against the usual blunders."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from mmg_env import data
from mmg_env.data import Array
from mmg_env.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
FOLDER = files("mmg_env.data")
HOUR = np.timedelta64(1, "h")
NIGHT = [0, 1, 2, 3, 22, 23]

Table = dict[str, Array]


def recent_prices() -> Array:
    """Return the Dutch prices of 2023 and 2024 in EUR/MWh."""
    table = data.load("prices_nl")
    recent = table["time"] >= np.datetime64("2023-01-01")
    return table["spot_eur_per_kwh"][recent].astype(float) * 1000


def autocorrelation(values: Array, lag: int) -> float:
    return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])


# The files


@pytest.mark.parametrize("name", data.NAMES)
def test_table_is_as_described(name: str) -> None:
    data.check(name, data.load(name))


def test_size_of_all_tables() -> None:
    sizes = [len((FOLDER / f"{name}.parquet").read_bytes()) for name in data.NAMES]
    assert sizes == [data.table_facts(name)["bytes"] for name in data.NAMES]
    assert sum(sizes) < 3_000_000


def test_both_provenance_files_agree() -> None:
    text = (FOLDER / "PROVENANCE.md").read_text(encoding="utf-8")
    facts = data.provenance()
    for name in data.NAMES:
        assert f"{name}.parquet" in text
        assert facts["tables"][name]["sha256"] in text
        assert set(facts["tables"][name]["source"]) <= set(facts["sources"])
    for path, digest in facts["sources"].items():
        assert path in text
        assert digest in text
    for tool, version in facts["tools"].items():
        assert f"{tool} {version}" in text


@pytest.fixture
def corrupted(tmp_path, monkeypatch):  # type: ignore[no-untyped-def]
    """A data folder in which one byte of the Dutch prices is wrong."""
    content = bytearray((FOLDER / "prices_nl.parquet").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "prices_nl.parquet").write_bytes(bytes(content))
    (tmp_path / "provenance.json").write_text((FOLDER / "provenance.json").read_text("utf-8"))
    monkeypatch.setattr(data, "files", lambda _: tmp_path)
    data._read.cache_clear()
    yield tmp_path
    data._read.cache_clear()


@pytest.mark.usefixtures("corrupted")
def test_changed_file_is_refused() -> None:
    with pytest.raises(InputError, match=r"prices_nl\.parquet is not the file .* sha256"):
        data.load("prices_nl")


WITHOUT_PANDAS = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "pandas":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
from mmg_env import data
print(*[len(data.load(name)["time"]) for name in data.NAMES], "pandas" in sys.modules)
"""


def test_loading_needs_no_pandas() -> None:
    command = [sys.executable, "-c", WITHOUT_PANDAS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["87672", "17520", "8760", "8760", "False"], done.stderr


def test_unknown_table_is_refused() -> None:
    with pytest.raises(InputError, match=r"'prices_de'; the embedded tables are prices_nl"):
        data.load("prices_de")


def test_loaded_arrays_cannot_be_changed() -> None:
    table = data.load("sites")
    with pytest.raises(ValueError, match="read-only"):
        table["pv_a"][0] = 1.0
    table.clear()
    assert "pv_a" in data.load("sites")
    days = data.load_days("sites")
    with pytest.raises(ValueError, match="read-only"):
        days["pv_a"][0, 0] = 1.0
    assert data.load("sites")["pv_a"] is data.load("sites")["pv_a"]


# Every table


@pytest.mark.parametrize("name", data.NAMES)
def test_hours_are_complete_and_unique(name: str) -> None:
    table = data.load(name)
    time = table["time"]
    assert np.all(np.diff(time) == HOUR)
    assert (time[0] - time[0].astype("datetime64[D]")) / HOUR == 0
    assert len(time) % 24 == 0
    for label, values in table.items():
        assert len(values) == len(time), label
        if label not in {"time", "day_type"}:
            assert values.dtype == np.float32, label
            assert np.isfinite(values).all(), label


def test_days_of_dutch_prices_begin_at_local_midnight() -> None:
    table, days = data.load("prices_nl"), data.load_days("prices_nl")
    assert str(days["date"][0]) == "2015-01-02"
    assert str(days["date"][-1]) == "2024-12-31"
    assert np.all(np.diff(days["date"]) == np.timedelta64(1, "D"))
    at = np.searchsorted(table["time"], np.datetime64("2020-06-30T23:00"))
    day = int(np.searchsorted(days["date"], np.datetime64("2020-07-01")))
    assert days["spot_eur_per_kwh"][day, 0] == table["spot_eur_per_kwh"][at]


@pytest.mark.parametrize("name", ["prices_ercot", "sites", "demand"])
def test_other_tables_are_in_local_time_already(name: str) -> None:
    table, days = data.load(name), data.load_days(name)
    assert np.array_equal(days["date"], table["time"][::24].astype("datetime64[D]"))


# Prices


def test_dutch_prices_have_the_known_moments() -> None:
    prices = recent_prices()
    centred = prices - prices.mean()
    assert len(prices) == 24 * 731
    assert np.mean(centred**4) / np.mean(centred**2) ** 2 - 3 == pytest.approx(16.3, abs=0.2)
    assert np.mean(prices < 0) == pytest.approx(0.044, abs=0.001)
    assert prices.min() == pytest.approx(-500)
    assert prices.max() == pytest.approx(872.96)
    for lag, expected in ((1, 0.93), (24, 0.66), (168, 0.55)):
        assert autocorrelation(prices, lag) == pytest.approx(expected, abs=0.01)
    spread = np.ptp(prices.reshape(-1, 24), axis=1)
    assert spread.mean() == pytest.approx(110, abs=3)
    assert 58 < spread.std() < 68


@pytest.mark.parametrize(
    ("hour", "expected"),
    [
        ("2015-01-01T00:00", 34.94),
        ("2022-12-31T23:00", -3.61),  # first of the hours that the source repeats
        ("2024-05-07T12:00", 47.89),  # these two would be swapped if day and month were
        ("2024-07-05T12:00", -0.77),
        ("2023-12-30T23:00", (43.23 + 12.56) / 2),  # missing in the source
        ("2024-12-30T23:00", (36.47 + 54.90) / 2),
    ],
)
def test_dutch_prices_of_single_hours(hour: str, expected: float) -> None:
    table = data.load("prices_nl")
    at = np.searchsorted(table["time"], np.datetime64(hour))
    assert table["spot_eur_per_kwh"][at] * 1000 == pytest.approx(expected, abs=0.011)


def test_dutch_prices_follow_the_european_clock() -> None:
    """Cheapest about solar noon in summer, dearest in the evening in winter."""
    days = data.load_days("prices_nl")
    month = days["date"].astype("datetime64[M]").astype(int) % 12
    recent = days["date"] >= np.datetime64("2023-01-01")
    summer = days["spot_eur_per_kwh"][recent & np.isin(month, (4, 5, 6))].mean(axis=0)
    winter = days["spot_eur_per_kwh"][recent & np.isin(month, (10, 11, 0))].mean(axis=0)
    assert np.argmin(summer) in (12, 13)
    assert np.argmax(winter) in (17, 18)


def test_texan_prices_hold_the_storm() -> None:
    table = data.load("prices_ercot")
    price, time = table["spot_usd_per_kwh"], table["time"]
    assert len(price) == 2 * 8760
    assert price.max() == pytest.approx(8.995, abs=0.001)
    assert str(time[np.argmax(price)]).startswith("2021-02-1")
    assert 0.05 < price[time >= np.datetime64("2022-01-01")].mean() < 0.09


@pytest.mark.parametrize(
    ("hour", "expected"),
    [
        ("2021-03-14T01:00", 15.09),
        ("2021-03-14T02:00", 13.92),  # the clock jumps here, time does not
        ("2021-11-06T23:00", 26.18),  # on the clock already 7 November
        ("2021-11-07T00:00", 20.53),
        ("2021-11-07T01:00", 27.00),  # the clock reads the same hour again
        ("2021-11-07T02:00", 26.24),
    ],
)
def test_texan_prices_are_in_standard_time(hour: str, expected: float) -> None:
    table = data.load("prices_ercot")
    at = np.searchsorted(table["time"], np.datetime64(hour))
    assert table["spot_usd_per_kwh"][at] * 1000 == pytest.approx(expected, abs=0.011)


# Sites


@pytest.mark.parametrize("site", ["a", "b", "c"])
def test_pv_is_zero_at_night_and_plausible(site: str) -> None:
    pv = data.load_days("sites")[f"pv_{site}"]
    assert np.all(pv[:, NIGHT] == 0)
    assert not np.any((pv > 0) & (pv < 1e-5))
    assert 0.09 < pv.mean() < 0.20
    assert 0.8 < pv.max() <= 1
    midsummer, midwinter = pv[151:212].mean(), pv[np.r_[0:31, 334:365]].mean()
    assert 1.7 < midsummer / midwinter < 5


@pytest.mark.parametrize(
    ("site", "low", "high"),
    [("a", 0.15, 0.45), ("c", 0.15, 0.45), ("b", 0.05, 0.15)],  # b: sheltered, no turbines there
)
def test_wind_is_plausible(site: str, low: float, high: float) -> None:
    wind = data.load("sites")[f"wind_{site}"]
    assert low < wind.mean() < high
    assert wind.min() == 0
    assert 0.9 < wind.max() <= 1
    assert 0.85 < autocorrelation(wind.astype(float), 1) < 0.98


@pytest.mark.parametrize(("site", "winter", "summer"), [("a", 4, 18), ("b", 4, 15), ("c", 1, 25)])
def test_temperature_is_temperate(site: str, winter: float, summer: float) -> None:
    temperature = data.load_days("sites")[f"temperature_c_{site}"]
    assert temperature[:31].mean() == pytest.approx(winter, abs=1)
    assert temperature[181:212].mean() == pytest.approx(summer, abs=1)
    assert np.argmax(temperature.mean(axis=0)) in range(12, 17)


# Demand


def test_every_series_of_demand_peaks_at_one() -> None:
    for label, values in data.load("demand").items():
        if label.startswith(("load_", "heat_")):
            assert values.max() == 1, label
            assert values.min() > 0, label
            assert 0.2 < values.mean() < 0.6, label


def test_day_types_are_those_of_the_calendar() -> None:
    days = data.load_days("demand")
    kind = days["day_type"]
    assert np.all(kind == kind[:, :1])
    of_date = dict(zip(days["date"].astype(str).tolist(), kind[:, 0].tolist(), strict=True))
    assert of_date["2023-01-07"] == 1  # Saturday
    assert of_date["2023-01-08"] == 2  # Sunday
    assert of_date["2023-01-09"] == 0  # Monday
    assert of_date["2023-12-25"] == 2  # a Monday, and Christmas
    assert [int(np.sum(kind[:, 0] == k)) for k in (0, 1, 2)] == [254, 52, 59]


@pytest.mark.parametrize(("member", "sunday"), [("works", 0.8), ("estate", 0.9)])
def test_business_rests_on_sundays(member: str, sunday: float) -> None:
    days = data.load_days("demand")
    load, kind = days[f"load_{member}"], days["day_type"][:, 0]
    assert load[kind == 2].mean() < sunday * load[kind == 0].mean()


@pytest.mark.parametrize("member", ["village", "suburb"])
def test_homes_peak_in_the_evening_and_in_winter(member: str) -> None:
    days = data.load_days("demand")
    load = days[f"load_{member}"]
    work = load[days["day_type"][:, 0] == 0]
    assert np.argmax(work.mean(axis=0)) in (18, 19)
    assert load[:31].mean() > 1.2 * load[181:212].mean()


@pytest.mark.parametrize("member", ["village", "suburb", "works"])
def test_heat_follows_the_temperature_of_the_site(member: str) -> None:
    facts = data.provenance()["choices"]
    heat = data.load_days("demand")[f"heat_{member}"].mean(axis=1)
    outside = data.load_days("sites")[f"temperature_c_{facts['site_of'][member]}"].mean(axis=1)
    assert np.corrcoef(heat, outside)[0, 1] < -0.8
    assert heat[181:212].mean() < 0.4 * heat[:31].mean()


# What `check` catches


def scaled(values: Array) -> Array:
    return values * np.float32(1000)


def late(values: Array) -> Array:
    return np.roll(values, 1)


def early(values: Array) -> Array:
    return np.roll(values, -1)


def with_gap(values: Array) -> Array:
    return np.where(np.arange(len(values)) == 5000, np.float32("nan"), values)


COLUMNS = [
    (name, label)
    for name in data.NAMES
    for label in data.table_facts(name)["columns"]
    if label != "day_type"
]


@pytest.mark.parametrize("damage", [scaled, late, early, with_gap])
@pytest.mark.parametrize(("name", "label"), COLUMNS)
def test_damage_is_seen_in_every_column(
    name: str, label: str, damage: Callable[[Array], Array]
) -> None:
    table = data.load(name)
    table[label] = damage(table[label])
    with pytest.raises(InputError, match=label):
        data.check(name, table)


@pytest.mark.parametrize("site", ["a", "b", "c"])
def test_light_is_centred_on_noon_whatever_is_stored(site: str) -> None:
    """A rebuild that is an hour late fails although its own reference is as late."""
    label = f"pv_{site}"
    table, facts = data.load("sites"), data.table_facts("sites")
    table[label] = late(table[label])
    spec = facts["columns"][label]
    spec["mean_by_hour"] = np.roll(spec["mean_by_hour"], 1).tolist()
    findings = data.find_faults(table, facts)
    assert len(findings) == 1
    assert "solar noon" in findings[0]


@pytest.mark.parametrize("name", data.NAMES)
def test_damaged_time_is_seen(name: str) -> None:
    table = data.load(name)
    shifted = {**table, "time": table["time"] + HOUR}
    with pytest.raises(InputError, match="The first hour is"):
        data.check(name, shifted)
    keep = np.delete(np.arange(len(table["time"])), 100)
    with pytest.raises(InputError, match="1 steps that are not one hour"):
        data.check(name, {label: values[keep] for label, values in table.items()})
    twice = np.insert(np.arange(len(table["time"])), 100, 100)
    with pytest.raises(InputError, match="1 steps that are not one hour"):
        data.check(name, {label: values[twice] for label, values in table.items()})


def test_missing_column_is_seen() -> None:
    table = data.load("sites")
    del table["pv_a"]
    with pytest.raises(InputError, match="The columns are"):
        data.check("sites", table)


def test_provenance_is_a_copy() -> None:
    data.provenance()["tables"].clear()
    assert data.provenance()["tables"]
    assert json.loads((FOLDER / "provenance.json").read_text("utf-8")) == data.provenance()


def test_price_years_differ() -> None:
    """The regimes of the suites: calm until 2020, crisis in 2022, in between since."""
    table = data.load("prices_nl")
    year = table["time"].astype("datetime64[Y]").astype(int) + 1970
    mean = {y: float(table["spot_eur_per_kwh"][year == y].mean()) for y in range(2015, 2025)}
    assert 0.03 < mean[2019] < mean[2024] < mean[2023] < mean[2022] < 0.25
