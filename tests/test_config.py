"""Every refusal is asserted in full: place, path, value, what is allowed."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mmg_env.config import SystemConfig
from mmg_env.config_devices import Model
from mmg_env.config_file import (
    config_directory,
    config_text,
    load_config,
    load_suite,
    suite_names,
    system_names,
)
from mmg_env.config_yaml import read_yaml
from mmg_env.errors import ConfigError, InputError

SHIPPED = sorted(config_directory().glob("s*/*.yaml"))
PAPER = config_directory() / "systems" / "s1_3mg.yaml"
REAL = config_directory() / "systems" / "community_real.yaml"

MINIMAL = """\
name: one
currency: EUR
members:
  - name: home
    load:
      peak_kw: 5
      profile: flat
tariff:
  kind: flat
  gas_per_m3: 0
  buy_per_kwh: 0.3
  sell_per_kwh: 0.1
"""


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        call()
    return str(caught.value)


def overridden(system: str, **overrides: Any) -> str:
    return refusal(lambda: load_config(system, overrides))


def written(folder: Path, text: str) -> Path:
    file = folder / "system.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def edited(folder: Path, line: int, text: str, source: Path = PAPER) -> Path:
    """Copy a shipped file with one line replaced, its indentation kept."""
    lines = source.read_text(encoding="utf-8").splitlines()
    old = lines[line - 1]
    lines[line - 1] = old[: len(old) - len(old.lstrip())] + text
    return written(folder, "\n".join(lines) + "\n")


def line_of(text: str, after: str, source: Path = PAPER) -> int:
    """Return the number of the first line with a text at or after the one with another text."""
    lines = source.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip() == after)
    return next(i for i, line in enumerate(lines) if i >= start and line.strip() == text) + 1


# --- what is shipped ---


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_copy_of_every_shipped_file_is_sound_elsewhere(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = written(tmp_path, file.read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    assert load_config("system.yaml") == load_config(file) == load_config(copy)


@pytest.mark.parametrize("name", sorted({*suite_names(), *system_names()}))
def test_every_name_loads_and_shows_what_it_loads(name: str, tmp_path: Path) -> None:
    config = load_config(name)
    assert config.name == name
    assert load_config(written(tmp_path, config_text(name))) == config
    assert SystemConfig.model_validate(config.model_dump(exclude_unset=True)) == config


def test_a_systems_text_is_shown_as_it_was_written() -> None:
    assert config_text(PAPER) == PAPER.read_text(encoding="utf-8")


def test_a_suite_tells_whether_it_is_a_regression_fixture() -> None:
    assert load_suite("s1_3mg").regression
    assert not load_suite("community_real").regression


def test_defaults_are_those_of_the_model(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, MINIMAL))
    assert (config.dt_h, config.episode_h, config.fades, config.ces) == (1.0, 24, False, None)
    assert (config.pool.loss, config.penalties.unserved_per_kwh) == (0.01, 20.0)
    ces = load_config("s1_3mg").ces
    assert ces is not None
    assert ces.regulation_per_kw_h == (0.0,) * 24
    assert ces.link_kw == 2500


def test_a_tight_market_is_warned_about() -> None:
    sentence = (
        "ces.market.export_kw: 1500 is less than the battery's power, the rentable power and the "
        "pool link together, 3900; energy may be spilled"
    )
    assert load_config("community_real").remarks == (sentence,)
    assert load_config("community_real", {"ces.market.export_kw": 3900}).remarks == ()
    alone = {"ces.market.export_kw": 1500, "pool.enabled": False}
    assert load_config("community_real", alone).remarks == ()


# --- one wrong line ---

WRONG_LINES = [
    ("dt_h: 1.0", "name: s1_3mg", "dt_h: 0.7", "dt_h: 0.7 must divide the 24 h of a day"),
    ("dt_h: 1.0", "name: s1_3mg", "dt_h: 48", "dt_h: 48 must divide the 24 h of a day"),
    ("dt_h: 1.0", "name: s1_3mg", "dt_h: 0", "dt_h: 0 must be greater than 0"),
    ("dt_h: 1.0", "name: s1_3mg", "dt_h: .nan", "dt_h: nan must be a finite number"),
    ("dt_h: 1.0", "name: s1_3mg", "dt_h: .inf", "dt_h: inf must be a finite number"),
    ("dt_h: 1.0", "name: s1_3mg", "dt_h: 1e999", "dt_h: inf must be a finite number"),
    ("dt_h: 1.0", "name: s1_3mg", f"dt_h: 1{'0' * 5000}", "dt_h: inf must be a finite number"),
    ("dt_h: 1.0", "name: s1_3mg", "dt_h: '1'", 'dt_h: "1" must be a number'),
    ("dt_h: 1.0", "name: s1_3mg", "dt_h: 1h", 'dt_h: "1h" must be a number'),
    ("dt_h: 1.0", "name: s1_3mg", "dt_h: true", "dt_h: true must be a number"),
    ("dt_h: 1.0", "name: s1_3mg", "dt_h:", "dt_h: null must be a number"),
    ("dt_h: 1.0", "name: s1_3mg", "dt_h: [1]", "dt_h: a list must be a number"),
    ("dt_h: 1.0", "name: s1_3mg", "dt_hour: 1", 'dt_hour: unknown key; did you mean "dt_h"?'),
    ("episode_h: 24", "dt_h: 1.0", "episode_h: 36", "episode_h: 36 must be a multiple of 24"),
    ("episode_h: 24", "dt_h: 1.0", "episode_h: 24.0", "episode_h: 24.0 must be a whole number"),
    ("episode_h: 24", "dt_h: 1.0", "episode_h: true", "episode_h: true must be a whole number"),
    ("episode_h: 24", "dt_h: 1.0", "episode_h: 0", "episode_h: 0 must be at least 1"),
    ("currency: CNY", "name: s1_3mg", "currency: ''", 'currency: "" must not be empty'),
    ("currency: CNY", "name: s1_3mg", "currency: 5", "currency: 5 must be text"),
    (
        "member_export: true",
        "dt_h: 1.0",
        "member_export: yes",
        'member_export: "yes" must be true or false',
    ),
    (
        "- name: MG2",
        "- name: MG2",
        "- name: MG1",
        'members[1].name: "MG1" is taken by an earlier member; names must be unique',
    ),
    (
        "- name: MG2",
        "- name: MG2",
        "- name: ces",
        'members[1].name: "ces" is the name of the community storage; choose another',
    ),
    (
        "- name: MG2",
        "- name: MG2",
        "- name: MG 2",
        'members[1].name: "MG 2" must be letters, digits, _ and -, a letter first',
    ),
    (
        "capacity_kwh: 1000",
        "- name: MG2",
        "capacity_kwh: -5",
        "members[1].battery.capacity_kwh: -5 must be greater than 0",
    ),
    (
        "capacity_kwh: 1000",
        "- name: MG2",
        "capacity_kw: 5",
        'members[1].battery.capacity_kw: unknown key; did you mean "capacity_kwh"?',
    ),
    (
        "battery:",
        "- name: MG3",
        "batery:",
        'members[2].batery: unknown key; did you mean "battery"?',
    ),
    (
        "power_kw: 250",
        "- name: MG1",
        "power_kw: {}",
        "members[0].battery.power_kw: a mapping must be a number",
    ),
    (
        "power_kw: 132.3",
        "- name: MG1",
        "power_kw: 1400",
        "members[0].flex.power_kw: 1400 must be at most 1323, the load of hour 3",
    ),
    (
        "profile: el2",
        "- name: MG2",
        "profile: el4",
        'members[1].load.profile: "el4" is not among source.profiles (pv, wind1, wind2, wind3, '
        'el1, el2, el3, heat1, heat2, heat3); did you mean "el3"?',
    ),
    (
        "price: retail",
        "ces:",
        "price: retial",
        'ces.market.price: "retial" must be one of retail, spot; did you mean "retail"?',
    ),
    (
        "price_rule: mid_market",
        "pool:",
        "price_rule: 7",
        "pool.price_rule: 7 must be one of mid_market, sdr, posted, auction, none",
    ),
    ("loss: 0.01", "pool:", "loss: 1", "pool.loss: 1 must be less than 1"),
    (
        "kind: tou",
        "tariff:",
        "kind: tuo",
        'tariff.kind: "tuo" must be one of flat, tou, feed_in, dynamic; did you mean "tou"?',
    ),
    (
        "unserved_per_kwh: 20",
        "penalties:",
        "unserved_per_kwh: 1.38",
        "penalties.unserved_per_kwh: 1.38 must be above 1.38, the highest price of an import "
        "with carbon",
    ),
    (
        "sell_per_kwh: 0.19",
        "terminal:",
        "sell_per_kwh: 1.2",
        "terminal.sell_per_kwh: 1.2 must be at most buy_per_kwh 1.14",
    ),
    (
        "MG2: [0.17, 0.15, 0.11, 0.35, 0.22]",
        "source:",
        "MG2: [0.17, 0.15, 0.11, 0.35, 0.2]",
        "source.scene_probabilities.MG2: the numbers sum to 0.98; they must sum to 1",
    ),
    (
        "MG2: [0.17, 0.15, 0.11, 0.35, 0.22]",
        "source:",
        "MG2: [0.5, 0.5]",
        "source.scene_probabilities.MG2: has 2 numbers; must have 5",
    ),
    (
        "MG2: [0.17, 0.15, 0.11, 0.35, 0.22]",
        "source:",
        "MG4: [0.17, 0.15, 0.11, 0.35, 0.22]",
        'source.scene_probabilities.MG4: not a member (MG1, MG2, MG3); did you mean "MG3"?',
    ),
    ("splits:", "splits:", "splitz:", 'splitz: unknown key; did you mean "splits"?'),
]


@pytest.mark.parametrize(("old", "after", "new", "expected"), WRONG_LINES)
def test_a_wrong_line_is_named(
    old: str, after: str, new: str, expected: str, tmp_path: Path
) -> None:
    line = line_of(old, after)
    file = edited(tmp_path, line, new)
    first = refusal(lambda: load_config(file)).splitlines()[0]
    assert first == f"{file}:{line}: {expected}"


def test_a_fault_between_two_places_is_named_where_it_can_be_mended(tmp_path: Path) -> None:
    file = edited(tmp_path, line_of("gas_per_m3: 2.5", "tariff:"), "gas_per_m3: 200")
    line = line_of("unserved_heat_per_kwh: 20", "penalties:")
    assert refusal(lambda: load_config(file)) == (
        f"{file}:{line}: penalties.unserved_heat_per_kwh: 20 must be above 22.9095, "
        "the cost of heat from the boiler of members[0]"
    )


def test_several_faults_come_in_file_order(tmp_path: Path) -> None:
    text = MINIMAL.replace("peak_kw: 5", "peak_kw: -5").replace("name: one", "nam: one")
    file = written(tmp_path, text.replace("  gas_per_m3: 0\n", ""))
    assert refusal(lambda: load_config(file)).splitlines() == [
        f'{file}:1: nam: unknown key; did you mean "name"?',
        f"{file}:6: members[0].load.peak_kw: -5 must be at least 0",
        f"{file}:8: tariff.gas_per_m3: is missing; it must be given",
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("  kind: flat\n", "", 8, "tariff.kind: is missing; it must be given"),
        ("    load:", "    lod:", 5, 'members[0].lod: unknown key; did you mean "load"?'),
        (
            "name: one",
            "name: one\nname: two",
            2,
            "name: given twice, first in {file}:1",
        ),
        ("name: one", "1: one", 1, "a key must be text"),
        ("name: one", "name: !!set one", 1, "name: the tag !!set is not allowed here"),
        ("name: one", "name: !!int one", 1, "name: the tag !!int is not allowed here"),
        (
            "name: one",
            "name: [one",
            2,
            "not valid YAML: while parsing a flow sequence, expected ',' or ']', but got ':'",
        ),
        ("name: one", "name: one: two", 1, "not valid YAML: mapping values are not allowed here"),
        ("name: one", "name: one\x01", 1, "not valid YAML: special characters are not allowed"),
        (MINIMAL, "", 1, 'a mapping of keys to values is wanted, as "name: x"'),
        (MINIMAL, "- a", 1, 'a mapping of keys to values is wanted, as "name: x"'),
        (
            "sell_per_kwh: 0.1",
            "sell_per_kwh: 0.4",
            12,
            "tariff.sell_per_kwh: 0.4 must be at most buy_per_kwh 0.3",
        ),
        (
            "sell_per_kwh: 0.1",
            "sell_per_kwh: -5",
            1,
            "penalties.spill_per_kwh: 5 must be above 5, the cost of a sale",
        ),
        (
            "  - name: home",
            "  - name: home\n    zz: 1",
            5,
            "members[0].zz: unknown key; known here: name, link_kw, rental_max_kwh, "
            "rental_max_kw, grid, load, heat, wind, pv, chp, boiler, battery, flex",
        ),
        (
            "members:",
            "members: []\nother:",
            3,
            "members: has 0 entries; it must have at least 1",
        ),
    ],
)
def test_a_small_file_with_one_fault(
    old: str, new: str, line: int, expected: str, tmp_path: Path
) -> None:
    file = written(tmp_path, MINIMAL.replace(old, new))
    first = refusal(lambda: load_config(file)).splitlines()[0]
    assert first == f"{file}:{line}: {expected.format(file=file)}"


@given(
    line=st.sampled_from(
        [n for n, text in enumerate(PAPER.read_text().splitlines(), 1) if "_kw: " in text]
    ),
    value=st.one_of(st.floats(max_value=-1e-9, allow_infinity=False), st.integers(max_value=-1)),
)
def test_a_negative_power_in_any_line_is_named_with_its_line(
    line: int, value: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    key = PAPER.read_text().splitlines()[line - 1].split(":")[0].strip()
    file = edited(tmp_path_factory.getbasetemp(), line, f"{key}: {value!r}")
    message = refusal(lambda: load_config(file))
    assert message.startswith(f"{file}:{line}: ")
    assert f".{key}: " in message
    assert message.endswith(" must be at least 0")


@given(text=st.text(max_size=60))
def test_any_text_is_read_or_refused_in_a_sentence(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert refusal(lambda: load_config(file)).startswith(str(file))


# --- files that are none ---


def test_what_cannot_be_read_is_told_in_a_sentence(tmp_path: Path) -> None:
    missing, binary = tmp_path / "no.yaml", tmp_path / "binary.yaml"
    binary.write_bytes(b"\x89PNG\xff\x00")
    deep = written(tmp_path, "[" * 5000)
    for file, reason in [
        (missing, "there is no such file"),
        (tmp_path, "is a directory; a YAML file is wanted"),
        (binary, "is not text in UTF-8; a YAML file is wanted"),
        (deep, "nested too deeply, or an alias contains itself"),
    ]:
        assert refusal(lambda file=file: load_config(file)) == f"{file}: {reason}"
    loop = written(tmp_path, "name: &a [*a]\n")
    assert refusal(lambda: load_config(loop)).endswith("or an alias contains itself")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("s1_3gm", 'no system or suite "s1_3gm"; did you mean "s1_3mg"? Known: '),
        ("qqq", 'no system or suite "qqq"; known: '),
        ("a\0b", 'no system or suite "a?b"; known: '),
        ("q" * 5000, f'no system or suite "{"q" * 36}...; known: '),
    ],
)
def test_an_unknown_name_lists_what_there_is(name: str, expected: str) -> None:
    known = ", ".join(sorted({*suite_names(), *system_names()}))
    assert refusal(lambda: load_config(name)) == expected + known


# --- overrides ---


def test_overrides_reach_where_they_point() -> None:
    config = load_config(
        "community_real",
        {
            "pool.enabled": False,
            "ces": None,
            "members[1].link_kw": 1,
            "members[estate].link_kw": 2,
            "members[*].battery.wear": {"cost_per_kwh": 0.2},
            "members[0].heat": None,
            "members[0].boiler": None,
            "carbon.price_per_kg": 0.05,
            "source.prices.years.train[0]": 2020,
            "source.imbalance_long_per_kwh": 0,
        },
    )
    assert [member.link_kw for member in config.members] == [600, 1, 600, 2]
    assert not config.pool.enabled
    assert config.ces is config.members[0].heat is None
    wear = [member.battery and member.battery.wear.cost_per_kwh for member in config.members]
    assert wear == [0.2, 0.2, None, 0.2]
    assert config.carbon.price_per_kg == 0.05
    assert config.source is not None
    assert config.source.kind == "analogue"
    assert config.source.prices.kind == "nl"
    assert config.source.prices.years.train == (2020,)


def test_overrides_leave_what_they_were_given_alone() -> None:
    wear = {"cost_per_kwh": 0.2}
    overrides = {"members[*].battery.wear": wear, "members[0].battery.wear.cost_per_kwh": 0.3}
    config = load_config("s1_3mg", overrides)
    assert wear == {"cost_per_kwh": 0.2}
    costs = [member.battery and member.battery.wear.cost_per_kwh for member in config.members]
    assert costs == [0.3, 0.2, 0.2]


def test_numbers_of_numpy_and_a_single_price_for_all_hours_are_taken() -> None:
    config = load_config("s1_3mg", {"pool.loss": np.float64(0.02), "ces.regulation_per_kw_h": 0.5})
    assert config.pool.loss == 0.02
    assert config.ces is not None
    assert config.ces.regulation_per_kw_h == (0.5,) * 24


WRONG_PATHS = [
    ("pool.enabeld", 'unknown key "pool.enabeld"; did you mean "pool.enabled"?'),
    ("pol.enabled", 'unknown key "pol"; did you mean "pool"?'),
    ("splits.qq", 'unknown key "splits.qq"; known here: val, test, shift'),
    ("members[7].link_kw", "members has 4 entries, [0] to [3]"),
    ("members[vilage].link_kw", 'members has no entry "vilage"; did you mean "village"?'),
    ("members[zz].link_kw", 'members has no entry "zz"; it has village, suburb, works, estate'),
    ("members[2].battery.wear", "matches nothing, because there is no members[2].battery"),
    ("pool[0].x", "pool is not a list, so [0] matches nothing"),
    ("pool.loss.x", "pool.loss has no keys"),
    (
        "source.profiles",
        'unknown key "source.profiles"; did you mean "source.prices"?',
    ),
    (
        "members[",
        "'members[' is not a path such as pool.enabled, members[0].link_kw or "
        "members[*].battery.wear",
    ),
    (
        "",
        "'' is not a path such as pool.enabled, members[0].link_kw or members[*].battery.wear",
    ),
]


@pytest.mark.parametrize(("path", "expected"), WRONG_PATHS)
def test_a_path_that_matches_nothing_is_refused(path: str, expected: str) -> None:
    message = overridden("community_real", **{path: 1})
    assert message == f'override "{path}": {expected}'


def test_all_members_without_the_device_is_refused() -> None:
    overrides = {"members[*].chp": None, "members[*].chp.eta_heat": 0.3}
    assert overridden("s1_3mg", **overrides) == (
        'override "members[*].chp.eta_heat": matches nothing, because no entry of members has '
        "that device"
    )


WRONG_VALUES = [
    ("pool.loss", 2, "pool.loss: 2 must be less than 1"),
    ("pool.loss", True, "pool.loss: true must be a number"),
    ("pool.loss", math.nan, "pool.loss: nan must be a finite number"),
    ("tariff", 5, "tariff: 5 must be a mapping of keys to values"),
    ("ces.battery", None, "ces.battery: null must be a mapping of keys to values"),
    ("members", "all", 'members: "all" must be a list'),
    ("tariff.buy_per_kwh", [0.1, 0.2], "tariff.buy_per_kwh: has 2 entries; it must have 24"),
    ("tariff.buy_per_kwh[2]", -0.1, "tariff.buy_per_kwh[2]: -0.1 must be at least 0"),
    (
        "tariff.sell_per_kwh[2]",
        0.5,
        "tariff.sell_per_kwh[2]: 0.5 must be at most buy_per_kwh 0.4 of the same hour",
    ),
    (
        "source.profiles.pv[3]",
        1.1,
        "source.profiles.pv[3]: 1.1 must be at most 1",
    ),
    (
        "source.profiles.pv",
        [0] * 25,
        "source.profiles.pv: has 25 entries; it must have 24",
    ),
    (
        "ces.regulation_per_kw_h",
        "5",
        'ces.regulation_per_kw_h: "5" must be a number or a list of 24 numbers',
    ),
    ("ces.regulation_per_kw_h", -1, "ces.regulation_per_kw_h: -1 must be at least 0"),
    ("ces.battery.eta_charge", 0, "ces.battery.eta_charge: 0 must be greater than 0"),
    ("ces.battery.eta_charge", 1.01, "ces.battery.eta_charge: 1.01 must be at most 1"),
    (
        "ces.battery.soc_initial",
        0.95,
        "ces.battery.soc_initial: 0.95 must lie between soc_min 0.1 and soc_max 0.9",
    ),
    ("ces.battery.soc_min", 0.91, "ces.battery.soc_min: 0.91 must be at most soc_max 0.9"),
    (
        "ces.battery.wear",
        {"segments": 33, "replacement_cost": 1},
        "ces.battery.wear.segments: 33 must be at most 32",
    ),
    (
        "ces.battery.wear",
        {"segments": 8},
        "ces.battery.wear.segments: 8 needs replacement_cost beside it",
    ),
    (
        "ces.battery.wear",
        {"segments": 8, "replacement_cost": 1, "cost_per_kwh": 0.1},
        "ces.battery.wear.cost_per_kwh: 0.1 cannot stand beside segments; give one of the two",
    ),
    (
        "ces.battery.terminal_sell_per_kwh",
        1.2,
        "ces.battery.terminal_sell_per_kwh: 1.2 must be at most the purchase price 1.14",
    ),
    (
        "members[0].battery.terminal_buy_per_kwh",
        0.1,
        "members[0].battery.terminal_buy_per_kwh: 0.1 must be at least the sale value 0.19",
    ),
    (
        "ces.market.buy_adder_per_kwh",
        -0.3,
        "ces.market.buy_adder_per_kwh: -0.3 makes the market price of hour 0 0.1; it must be at "
        "least 0.2, or buying to resell earns money",
    ),
    (
        "tariff.demand_charge_per_kw",
        19,
        "tariff.demand_charge_per_kw: 19 must be below 18.62, (unserved_per_kwh - highest price) "
        "* dt_h, or shedding is cheaper than importing",
    ),
    (
        "members[0].chp.eta_heat",
        0.7,
        "members[0].chp.eta_heat: 0.7 plus eta_electric 0.35 must be at most 1",
    ),
]


@pytest.mark.parametrize(("path", "value", "expected"), WRONG_VALUES)
def test_a_wrong_value_is_laid_to_its_override(path: str, value: Any, expected: str) -> None:
    assert overridden("s1_3mg", **{path: value}) == f'override "{path}": {expected}'


def test_decay_must_be_covered_by_charging() -> None:
    overrides = {"ces.battery.power_kw": 90, "ces.battery.self_discharge_per_h": 0.1}
    assert overridden("s1_3mg", **overrides) == (
        'override "ces.battery.self_discharge_per_h": ces.battery.self_discharge_per_h: 0.1 takes '
        "100 kWh a step at soc_min; charging must cover it, and gives at most 85.5 kWh"
    )
    load_config("s1_3mg", {**overrides, "ces.battery.power_kw": 110})


def test_fade_needs_a_replacement_cost() -> None:
    bare = {"members[*].battery.wear": {"cost_per_kwh": 0.1}}
    for overrides in ({"fade": True}, {"episode_h": 192}):
        lines = overridden("s1_3mg", **bare, **overrides).splitlines()
        assert len(lines) == 3
        assert lines[0].endswith(
            "members[0].battery.wear.replacement_cost: must be given when capacity fades "
            "(fade: true, or an episode above 168 h)"
        )
    assert load_config("s1_3mg", {"episode_h": 192}).fades
    assert load_config("community_real", {"fade": True}).fades
    assert load_config("community_real", {"episode_h": 192}).fades
    assert not load_config("community_real").fades


def test_without_profiles_only_the_peak_bounds_the_movable_load() -> None:
    load_config("community_real", {"members[0].flex.power_kw": 900})
    assert overridden("community_real", **{"members[0].flex.power_kw": 901}) == (
        'override "members[0].flex.power_kw": members[0].flex.power_kw: 901 must be at most 900, '
        "the peak of the load"
    )


def test_a_year_serves_one_split() -> None:
    assert overridden("community_real", **{"source.prices.years.test": [2019]}) == (
        'override "source.prices.years.test": source.prices.years.shift[0]: '
        "2019 is used by test already; a year serves one split"
    )


def test_carbon_counts_among_the_prices_that_penalties_exceed() -> None:
    overrides = {"carbon.price_per_kg": 1.0, "penalties.unserved_per_kwh": 1.7}
    assert overridden("s1_3mg", **overrides) == (
        'override "penalties.unserved_per_kwh": penalties.unserved_per_kwh: 1.7 must be above '
        "1.78, the highest price of an import with carbon"
    )


def test_a_fault_that_overrides_bring_about_elsewhere_is_laid_to_them(tmp_path: Path) -> None:
    overrides = {"pool.fee_per_kwh": 0.0, "members[MG1].name": "North"}
    sentence = "source.scene_probabilities.MG1: not a member (North, MG2, MG3)"
    assert overridden("s1_3mg", **overrides) == (
        f'overrides "pool.fee_per_kwh", "members[MG1].name": {sentence}; did you mean "MG3"?'
    )
    line = line_of("loss: 0.01", "pool:")
    file = edited(tmp_path, line, "loss: 2")
    assert refusal(lambda: load_config(file, {"pool.fee_per_kwh": 0.0})) == (
        f"{file}:{line}: pool.loss: 2 must be less than 1"
    )


# --- suites ---


def suite(folder: Path, text: str) -> Path:
    written(folder, MINIMAL)
    file = folder / "suite.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_suite_changes_its_system(tmp_path: Path) -> None:
    text = "name: two\nsystem: system.yaml\nepisode_h: 48\nsplits: {val: 3}\n"
    file = suite(tmp_path, text + "overrides:\n  members[0].load.peak_kw: 7\n")
    config = load_config(file, {"splits.test": 5})
    assert (config.name, config.episode_h) == ("two", 48)
    assert config.members[0].load.peak_kw == 7
    assert (config.splits.val, config.splits.test, config.splits.shift) == (3, 5, 64)
    shown = yaml.safe_load(config_text(file))
    assert SystemConfig.model_validate(shown) == load_config(file)
    assert "- name: home\n  load:\n    peak_kw: 7\n    profile: flat\n" in config_text(file)


SUITE_FAULTS = [
    ("system: s1_3mg\nnme: a", 2, 'nme: unknown key; did you mean "name"?'),
    (
        "name: a\nsystem: s1_3gm",
        2,
        'system: "s1_3gm" is neither a file nor a system; did you mean "s1_3mg"? Known: {known}',
    ),
    ("name: a\nsystem: s1_3mg\nregression: 1", 3, "regression: 1 must be true or false"),
    (
        "name: a\nsystem: s1_3mg\noverrides:\n  pool.los: 1",
        4,
        'unknown key "pool.los"; did you mean "pool.loss"?',
    ),
    (
        "name: a\nsystem: s1_3mg\noverrides:\n  pool.loss: 1",
        4,
        "pool.loss: 1 must be less than 1",
    ),
    ("name: a\nsystem: s1_3mg\nepisode_h: 30", 3, "episode_h: 30 must be a multiple of 24"),
    (
        "name: a\nsystem: s1_3mg\nsource:\n  kind: scenes\n  profiles: {}\n  x: 1",
        6,
        "source.x: unknown key; known here: forecast, kind, profiles, scene_probabilities, "
        "scene_correlation, tariff_deviation, wholesale_per_kwh, wholesale_sd",
    ),
]


@pytest.mark.parametrize(("text", "line", "expected"), SUITE_FAULTS)
def test_a_fault_in_a_suite_is_named_in_the_suite(
    text: str, line: int, expected: str, tmp_path: Path
) -> None:
    file = suite(tmp_path, text)
    sentence = expected.replace("{known}", ", ".join(system_names()))
    assert refusal(lambda: load_config(file)) == f"{file}:{line}: {sentence}"


def test_a_fault_in_the_system_of_a_suite_is_named_in_the_system(tmp_path: Path) -> None:
    file = suite(tmp_path, "name: a\nsystem: system.yaml\n")
    system = written(tmp_path, MINIMAL.replace("peak_kw: 5", "peak_kw: five"))
    assert refusal(lambda: load_config(file)) == (
        f'{system}:6: members[0].load.peak_kw: "five" must be a number'
    )


def test_a_system_is_no_suite(tmp_path: Path) -> None:
    file = written(tmp_path, MINIMAL)
    assert f"{file}:1: system: is missing; it must be given" in refusal(lambda: load_suite(file))


# --- a feed-in price that follows the wholesale price ---


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("tariff.buy_per_kwh[2]", -0.1, "tariff.buy_per_kwh[2]: -0.1 must be at least 0"),
        ("tariff.sell_factor", -0.5, "tariff.sell_factor: -0.5 must be at least 0"),
        (
            "penalties.unserved_per_kwh",
            1.38,
            "penalties.unserved_per_kwh: 1.38 must be above 1.38, the highest price of an import "
            "with carbon",
        ),
        (
            "ces.market",
            {"price": "retail", "buy_adder_per_kwh": -0.5},
            "ces.market.buy_adder_per_kwh: -0.5 makes the market price of hour 0 -0.1; it must be "
            "at least 0, or buying to resell earns money",
        ),
    ],
)
def test_a_feed_in_tariff_is_checked(path: str, value: Any, expected: str) -> None:
    message = refusal(lambda: load_config("s2_crh", {path: value}))
    assert message.splitlines()[0] == f'override "{path}": {expected}'


# --- YAML and models by themselves ---


def test_scalars_follow_the_core_schema(tmp_path: Path) -> None:
    text = "a: 1e3\nb: 010\nc: yes\nd: 2024-01-01\ne: ~\nf: False\ng: -.5\nh: 12:30\ni: '1'\n"
    assert read_yaml(written(tmp_path, text)).data == {
        "a": 1000.0,
        "b": 10,
        "c": "yes",
        "d": "2024-01-01",
        "e": None,
        "f": False,
        "g": -0.5,
        "h": "12:30",
        "i": "1",
    }


def test_models_refuse_without_a_file_too() -> None:
    data = yaml.safe_load(MINIMAL)
    data["tariff"]["sell_per_kwh"] = 0.4
    with pytest.raises(ValidationError, match=r"sell_per_kwh: 0\.4 must be at most buy_per_kwh"):
        SystemConfig.model_validate(data)


def test_models_are_frozen_and_every_field_is_described() -> None:
    config = load_config("s1_3mg")
    with pytest.raises(ValidationError, match="frozen"):
        config.dt_h = 2.0  # type: ignore[misc]
    models = [*Model.__subclasses__(), *SystemConfig.model_fields["tariff"].annotation.__args__]
    for model in models:
        for name, field in model.model_fields.items():
            assert name == "kind" or field.description, f"{model.__name__}.{name}"


def test_a_config_error_is_an_input_error() -> None:
    assert issubclass(ConfigError, InputError)
    assert issubclass(InputError, ValueError)
