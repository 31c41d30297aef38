"""Episodes from a user's own series: what is told is what happens, and the rest is refused."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from own_series import Row, house, series, write

from baselines import POLICIES
from mmg_env.env import CommunityEnv
from mmg_env.episode import Episode, check_fits
from mmg_env.errors import ConfigError, InputError
from mmg_env.layout import X
from mmg_env.rollout import rollout
from mmg_env.sources import recorded
from mmg_env.splits import sample_episode
from mmg_env.system import System, load_system

SPLITS = ("train", "val", "test", "shift")


def refusal(folder: Path, rows: list[Row] | None = None, **source: object) -> str:
    with pytest.raises(InputError) as error:
        sample_episode(house(folder, rows, **source), "test", 0)
    return str(error.value)


def changed(row: int, column: int, text: str) -> list[Row]:
    rows = series()
    rows[row - 1][column] = text
    return rows


def times(column: int, factor: float) -> list[Row]:
    """Return sound rows with a column in another unit."""
    rows = series()
    for row in rows[1:]:
        row[column] = repr(float(row[column]) * factor)
    return rows


def digest(episode: Episode) -> str:
    arrays = (episode.values, episode.center, episode.scale, episode.errors)
    return sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


# Truth


def test_the_truth_is_the_file(tmp_path: Path) -> None:
    system = house(tmp_path)
    episode = sample_episode(system, "test", 1)
    assert episode.start == np.datetime64("2024-01-09T00")
    rows = series()[1 + 8 * 24 : 1 + 9 * 24]
    assert np.array_equal(episode.load_kw[:, 0], [float(row[1]) for row in rows])
    assert np.array_equal(episode.pv_kw[:, 0], [float(row[2]) for row in rows])
    spot = np.array([float(row[3]) for row in rows]) * 0.001
    assert np.array_equal(episode.shared(X.spot), spot)
    assert np.allclose(episode.price_buy, 1.09 * spot + 0.1)
    assert np.allclose(episode.price_sell, 0.9 * spot)
    assert np.all(episode.shared(X.short_premium) == 0.06)
    assert np.all(episode.grid_up == 1.0)
    check_fits(system, episode)


@pytest.mark.parametrize(
    ("column", "series_name", "unit", "factor"),
    [
        (1, "home.load", "MW", 0.001),
        (1, "home.load", "per_unit", 0.1),
        (2, "home.pv", "per_unit", 0.125),
        (3, "spot", "per_kwh", 0.001),
    ],
)
def test_units_say_the_same(
    tmp_path: Path, column: int, series_name: str, unit: str, factor: float
) -> None:
    plain = sample_episode(house(tmp_path), "test", 0)
    names = {"home.load": "load", "home.pv": "pv", "spot": "price"}
    units = {"home.load": "kW", "home.pv": "kW", "spot": "per_MWh", series_name: unit}
    columns = {name: {"column": names[name], "unit": units[name]} for name in names}
    other = sample_episode(house(tmp_path, times(column, factor), columns=columns), "test", 0)
    assert np.allclose(plain.values, other.values, rtol=1e-12)


def test_what_ends_an_interval_began_a_step_before(tmp_path: Path) -> None:
    columns = {"splits.shift": ["2024-01-11", "2024-01-11"]}
    start, end = (
        sample_episode(house(tmp_path, label=label, **columns), "test", 0)
        for label in ("start", "end")
    )
    assert np.array_equal(end.load_kw[:-1], start.load_kw[1:])


def test_days_of_the_splits(tmp_path: Path) -> None:
    system = house(tmp_path)
    starts = {split: str(sample_episode(system, split, 0).start)[:10] for split in SPLITS[1:]}
    assert starts == {"val": "2024-01-06", "test": "2024-01-08", "shift": "2024-01-11"}
    drawn = {str(sample_episode(system, "train", i).start)[:10] for i in range(60)}
    assert drawn == {f"2024-01-0{day}" for day in range(1, 6)}


def test_no_forecast_shows_a_day_of_another_split(tmp_path: Path) -> None:
    """Beyond the end of a split its forecasts show days of the split that are past."""
    rows = series()
    for k, row in enumerate(rows[1:]):
        row[1] = f"{2 + k // 24 / 10 + k % 24 / 1000}"
    system = house(tmp_path, rows, forecast="perfect")
    last = sample_episode(system, "test", 1)  # the second of three days
    shown = last.forecast(23).load_kw[:, 0]
    assert np.allclose(np.floor((shown[1:25] - 2) * 10 + 1e-6), 9)  # 10 January
    assert np.allclose(np.floor((shown[25:] - 2) * 10 + 1e-6), 7)  # 8 January


def test_the_forecast_errs_by_what_is_not_yet_revealed(tmp_path: Path) -> None:
    system = house(tmp_path)
    episode = sample_episode(system, "train", 3)
    path = episode.model.path[[0, 1, 2, 4 + X.spot, 4 + X.short_premium]]
    assert path[0] == -1  # no wind
    assert path[4] == -1  # no premium in the file
    assert (path[1:4] >= 0).all()
    rows = episode.steps
    errors = np.where(episode.model.path >= 0, episode.errors[:, episode.model.path], 0.0)
    truth = episode.center[:rows] + episode.scale[:rows] * errors
    members = 4 * len(system.members)
    assert np.allclose(truth[:, :members], episode.values[:, :members])
    assert np.all(episode.scale[:, 4 + X.short_premium] == 0.0)


@pytest.mark.parametrize("quality", ["perfect", "good", "poor", "none"])
def test_all_qualities_of_forecasts_and_scenarios(tmp_path: Path, quality: str) -> None:
    episode = sample_episode(house(tmp_path, forecast=quality), "test", 0)
    forecast = episode.forecast(5)
    assert np.isfinite(forecast.values).all()
    drawn = forecast.scenarios(3, np.random.default_rng(0))
    assert np.isfinite(drawn.values).all()


def test_premiums_of_the_file_are_kept_however_high(tmp_path: Path) -> None:
    rows = [[*row, "40" if k else "short"] for k, row in enumerate(series())]
    rows[1 + 7 * 24 + 5][-1] = "9000"
    columns = {
        "home.load": {"column": "load", "unit": "kW"},
        "home.pv": {"column": "pv", "unit": "kW"},
        "spot": {"column": "price", "unit": "per_MWh"},
        "short_premium": {"column": "short", "unit": "per_MWh"},
    }
    episode = sample_episode(house(tmp_path, rows, columns=columns), "test", 0)
    assert episode.shared(X.short_premium)[[4, 5]].tolist() == [0.04, 9.0]


def test_members_that_name_one_profile_share_their_errors(tmp_path: Path) -> None:
    house(tmp_path)
    text = (tmp_path / "house.yaml").read_text(encoding="utf-8")
    twin = text[text.index("  - name: home") : text.index("tariff:")].replace("home", "twin")
    text = text.replace("tariff:", f"{twin}tariff:")
    for name in ("load", "pv"):
        own = f"    home.{name}:"
        text = text.replace(own, f"    twin.{name}: {{column: {name}, unit: kW}}\n{own}")
    (tmp_path / "two.yaml").write_text(text, encoding="utf-8")
    model = sample_episode(load_system(tmp_path / "two.yaml"), "test", 0).model
    assert model.path[2] == model.path[3]
    assert model.path[4] != model.path[5]


def test_an_episode_is_the_same_in_another_process(tmp_path: Path) -> None:
    system = house(tmp_path)
    digests = [digest(sample_episode(system, split, 0)) for split in SPLITS]
    script = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from test_recorded import SPLITS, digest, load_system, sample_episode\n"
        f"system = load_system({str(tmp_path / 'house.yaml')!r})\n"
        "print(*[digest(sample_episode(system, split, 0)) for split in SPLITS])"
    )
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == digests


def test_another_step_and_other_lengths(tmp_path: Path) -> None:
    house(tmp_path)
    write(tmp_path, series(step_h=0.25))
    path = tmp_path / "house.yaml"
    for hours in (24, 48):
        system = load_system(path, {"dt_h": 0.25, "episode_h": hours, "splits.test": 2})
        episode = sample_episode(system, "test", 1)
        assert episode.values.shape[0] == 4 * hours
        assert np.isfinite(episode.forecast(hours).values).all()


def test_a_policy_plays_it(tmp_path: Path) -> None:
    env = CommunityEnv(tmp_path / "house.yaml" if house(tmp_path) else "", "test")
    trajectory = rollout(env, POLICIES["time_of_use"](env.system), options={"episode": 0})
    assert np.isfinite(trajectory.cost)


# What cannot be


@pytest.mark.parametrize(
    ("row", "column", "text", "words"),
    [
        (30, 1, "-1", "row 30: home.load is -1 kW at 2024-01-02T04:00; it must be at least 0"),
        (30, 2, "-0.1", "row 30: home.pv is -0.1 kW"),
        (30, 2, "8.02", "row 30: home.pv is 8.02 kW at 2024-01-02T04:00; above pv.capacity_kw 8"),
        (30, 1, "201", "above 20 times load.peak_kw 10; is the unit kW right?"),
        (30, 1, "0.4", "row 30: home.load is 0.4 kW at 2024-01-02T04:00; below flex.power_kw 0.5"),
        (30, 3, "20000", "row 30: energy costs 21.9 per kWh at 2024-01-02T04:00"),
        (30, 3, "-7000", "row 30: selling costs 6.3 per kWh"),
    ],
)
def test_a_value_that_cannot_be_is_named(
    tmp_path: Path, row: int, column: int, text: str, words: str
) -> None:
    assert words in refusal(tmp_path, changed(row, column, text))


def test_a_share_above_capacity_is_rounding_and_cut(tmp_path: Path) -> None:
    rows = changed(2 + 7 * 24, 2, "8.007")
    assert sample_episode(house(tmp_path, rows), "test", 0).pv_kw[0, 0] == 8.0


@pytest.mark.parametrize(
    ("name", "unit", "words"),
    [
        ("home.load", "MW", "home.load is 2010 kW at 2024-01-01T00:00; above 20 times"),
        ("home.pv", "MW", "is the unit MW right?"),
        ("spot", "per_kwh", "penalties.unserved_per_kwh, 20; is the unit per_kwh right?"),
    ],
)
def test_a_wrong_unit_is_suspected(tmp_path: Path, name: str, unit: str, words: str) -> None:
    names = {"home.load": ("load", "kW"), "home.pv": ("pv", "kW"), "spot": ("price", "per_MWh")}
    columns = {
        key: {"column": column, "unit": unit if key == name else right}
        for key, (column, right) in names.items()
    }
    assert words in refusal(tmp_path, columns=columns)


@pytest.mark.parametrize(
    ("column", "factor", "words"),
    [
        (2, 0.001, "home.pv is never above 0.006 kW, a hundredth of capacity_kw 8"),
        (3, 0.001, "EUR/kWh on average; is the unit per_MWh right?"),
    ],
)
def test_next_to_nothing_is_suspected(
    tmp_path: Path, column: int, factor: float, words: str
) -> None:
    assert words in refusal(tmp_path, times(column, factor))


def with_storage(folder: Path, price: str, **changes: object) -> System:
    house(folder, changed(2 + 7 * 24 + 3, 3, price))
    market = {"price": "spot", "import_kw": 100, "export_kw": 100}
    ces = {"battery": {"capacity_kwh": 10, "power_kw": 5}, "market": market}
    return load_system(folder / "house.yaml", {"ces": ces, "tariff.sell_factor": 0.5, **changes})


def test_prices_that_print_money_are_refused_or_cut(tmp_path: Path) -> None:
    assert sample_episode(with_storage(tmp_path, "-10"), "test", 0).steps == 24
    with pytest.raises(InputError) as error:
        sample_episode(with_storage(tmp_path, "-500"), "test", 0)
    assert "row 173: at 2024-01-08T03:00 the storage buys at -0.5" in str(error.value)
    assert "allow_arbitrage: true" in str(error.value)
    system = with_storage(tmp_path, "-500", allow_arbitrage=True)
    check_fits(system, sample_episode(system, "test", 0))


def test_negative_premiums_are_refused(tmp_path: Path) -> None:
    rows = [[*row, "-1" if k == 9 else "1" if k else "long"] for k, row in enumerate(series())]
    columns = {
        "home.load": {"column": "load", "unit": "kW"},
        "home.pv": {"column": "pv", "unit": "kW"},
        "spot": {"column": "price", "unit": "per_MWh"},
        "long_premium": {"column": "long", "unit": "per_MWh"},
    }
    assert "row 10: long_premium is -0.001" in refusal(tmp_path, rows, columns=columns)


def test_splits_must_lie_in_the_file(tmp_path: Path) -> None:
    said = refusal(tmp_path, series()[:-1])
    assert "source.splits.shift is 2024-01-11 to 2024-01-12; there are whole days of" in said
    assert said.endswith("2024-01-01 to 2024-01-11")


def test_fewer_start_days_than_episodes_are_refused(tmp_path: Path) -> None:
    house(tmp_path)
    with pytest.raises(ConfigError, match="has 3 days on which an episode of 1 days can start"):
        load_system(tmp_path / "house.yaml", {"splits.test": 4})


def test_only_a_source_of_its_kind_is_read() -> None:
    with pytest.raises(InputError, match="its source is `scenes`; it must be `csv`"):
        recorded.recording(load_system("s1_3mg"))
