"""No number of a shipped suite moves unannounced."""

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments import freeze
from experiments.cli import app
from experiments.freeze import (
    FILE,
    FrozenSplit,
    FrozenSuite,
    faults,
    hash_of,
    measure,
    read_frozen,
    rounded,
    write_frozen,
)
from mmg_env import environment_id, load_system, sample_episode
from mmg_env.config_file import suite_names
from mmg_env.errors import InputError

CHANGELOG = FILE.parent.parent / "CHANGELOG.md"


@pytest.mark.parametrize("suite", suite_names())
def test_numbers_are_those_that_are_kept(suite: str) -> None:
    found = faults(suite, read_frozen(FILE).get(suite), measure(suite))
    assert not found, "\n".join(found)


def test_nothing_is_kept_of_what_is_not_shipped() -> None:
    assert sorted(read_frozen(FILE)) == suite_names()


@pytest.mark.parametrize("suite", suite_names())
def test_a_raised_version_is_in_the_changelog(suite: str) -> None:
    name = environment_id(suite)
    if not name.endswith("-v0"):
        entries = re.split(r"\n(?=- )", CHANGELOG.read_text(encoding="utf-8"))
        told = [entry for entry in entries if name in entry]
        assert any("results change" in entry.lower() for entry in told), name


# What counts as moved


def kept() -> FrozenSuite:
    splits = {name: FrozenSplit(episodes=(0, 1), sha256="a" * 64) for name in freeze.SPLITS}
    costs = {"idle": (100.0, 200.0), "mpc": (80.0,), "oracle": (-70.0,)}
    return FrozenSuite(id="mmg/Some-v3", splits=splits, costs=costs)


def with_cost(policy: str, *costs: float) -> FrozenSuite:
    return kept().model_copy(update={"costs": kept().costs | {policy: costs}})


def test_what_is_kept_has_no_fault() -> None:
    assert faults("some", kept(), kept()) == []


@pytest.mark.parametrize(
    ("policy", "share"), [("idle", 1e-6), ("mpc", 1e-2), ("oracle", 3e-4)], ids=lambda x: str(x)
)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_costs_have_their_tolerances(policy: str, share: float, sign: float) -> None:
    first, *others = kept().costs[policy]
    near = with_cost(policy, first * (1.0 + 0.9 * sign * share), *others)
    far = with_cost(policy, first * (1.0 + 1.1 * sign * share), *others)
    assert faults("some", kept(), near) == []
    (sentence,) = faults("some", kept(), far)
    assert sentence.startswith(f"some: numbers moved under mmg/Some-v3: cost of {policy} (")
    assert "raise the suite's version in _VERSIONS of mmg_env/__init__.py" in sentence
    assert '"results change"' in sentence
    assert "CHANGELOG.md with the words" in sentence
    assert sentence.endswith("and run mmg freeze")


def test_another_episode_is_seen() -> None:
    other = FrozenSplit(episodes=(0, 1), sha256="b" * 64)
    found = kept().model_copy(update={"splits": kept().splits | {"val": other}})
    (sentence,) = faults("some", kept(), found, new_is_fine=True)
    assert "moved under mmg/Some-v3: episodes of val; " in sentence


def test_a_policy_that_is_gone_is_seen_and_a_new_one_wants_to_be_kept() -> None:
    (sentence,) = faults("some", with_cost("stochastic", 75.0), kept())
    assert "cost of stochastic (75, now none)" in sentence
    assert faults("some", kept(), with_cost("stochastic", 75.0)) == [
        "some: nothing is kept of stochastic; run mmg freeze"
    ]
    assert faults("some", kept(), with_cost("stochastic", 75.0), new_is_fine=True) == []


def test_a_new_version_wants_to_be_kept() -> None:
    raised = with_cost("idle", 1.0, 2.0).model_copy(update={"id": "mmg/Some-v4"})
    sentence = "some: mmg/Some-v3 is kept, and mmg/Some-v4 is in force; run mmg freeze"
    assert faults("some", kept(), raised) == [sentence]
    assert faults("some", kept(), raised, new_is_fine=True) == []
    assert faults("some", None, kept()) == [
        "some: nothing is kept, and mmg/Some-v3 is in force; run mmg freeze"
    ]


# Hashes


def test_rounding_sees_a_change_and_not_the_last_digits() -> None:
    rng = np.random.default_rng(0)
    array = rng.normal(0.0, [1.0, 1e-3, 1e4], (500, 3))
    array[::7] = 0.0
    assert np.array_equal(rounded(array), rounded(array * (1.0 + 4e-16)))
    assert np.array_equal(rounded(np.where(array == 0.0, -0.0, array)), rounded(array))
    moved = array.copy()
    moved[3, 1] *= 1.0 + 1e-4
    assert not np.array_equal(rounded(array), rounded(moved))


@pytest.mark.parametrize("peak", [1000.0, 1.0, 0.001])
def test_rounding_of_powers_of_ten_does_not_hang_on_the_last_digit(peak: float) -> None:
    column = np.array([[peak], [0.35 * peak], [0.0]])
    for other in (np.nextafter(peak, 0.0), np.nextafter(peak, 2.0 * peak)):
        assert np.array_equal(rounded(column), rounded(column * (other / peak)))


def test_the_hash_is_of_everything_in_an_episode() -> None:
    system = load_system("s1_3mg")
    episode = sample_episode(system, "test", 0)
    assert hash_of([episode]) == hash_of([sample_episode(load_system("s1_3mg"), "test", 0)])
    others = [sample_episode(system, "test", 1), sample_episode(system, "val", 0)]
    assert len({hash_of([e]) for e in (episode, *others)}) == 3
    for name in ("values", "center", "scale", "errors"):
        array = np.array(getattr(episode, name))
        array[5, 2] += 0.01 * (1.0 + abs(array[5, 2]))
        changed = type(episode)(**{**vars_of(episode), name: array})
        assert hash_of([changed]) != hash_of([episode]), name


def vars_of(episode: object) -> dict[str, object]:
    names = ("label", "start", "values", "center", "scale", "errors", "model", "world")
    return {name: getattr(episode, name) for name in (*names, "member_count")}


# The command


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> dict[str, FrozenSuite]:
    """Measure from a dictionary instead of by playing; the suites are its keys."""
    numbers = {"some": kept()}
    monkeypatch.setattr(freeze, "suite_names", lambda: sorted(numbers))
    monkeypatch.setattr(freeze, "measure", lambda name: numbers[name])
    return numbers


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["freeze", *map(str, words)])
    return result.exit_code, result.output


def test_the_command_keeps_and_compares(stub: dict[str, FrozenSuite], tmp_path: Path) -> None:
    file = tmp_path / "frozen.yaml"
    assert run("--check", "--file", file)[0] == 1
    assert not file.exists()
    assert run("--file", file)[0] == 0
    assert read_frozen(file) == stub
    code, out = run("--check", "--file", file)
    assert code == 0
    assert f"mmg/Some-v3 some test 0,1 {'a' * 64}" in out


def test_the_command_refuses_numbers_that_moved(
    stub: dict[str, FrozenSuite], tmp_path: Path
) -> None:
    file = tmp_path / "frozen.yaml"
    run("--file", file)
    before = file.read_bytes()
    stub["some"] = with_cost("idle", 1.0, 2.0)
    code, out = run("--file", file)
    assert code == 1
    assert "numbers moved under mmg/Some-v3" in out
    assert file.read_bytes() == before
    assert run("--file", file, "--force")[0] == 0
    assert read_frozen(file) == stub


def test_the_command_keeps_a_raised_version_and_forgets_what_is_not_shipped(
    stub: dict[str, FrozenSuite], tmp_path: Path
) -> None:
    file = tmp_path / "frozen.yaml"
    stub["other"] = kept()
    run("--file", file)
    del stub["other"]
    stub["some"] = with_cost("idle", 1.0, 2.0).model_copy(update={"id": "mmg/Some-v4"})
    assert run("--file", file)[0] == 0
    assert read_frozen(file) == stub


def test_one_suite_leaves_the_others(stub: dict[str, FrozenSuite], tmp_path: Path) -> None:
    file = tmp_path / "frozen.yaml"
    write_frozen(file, {"some": kept()})
    stub["other"] = kept()
    stub["some"] = with_cost("idle", 1.0, 2.0)
    assert run("--suite", "other", "--file", file)[0] == 0
    assert read_frozen(file) == {"other": kept(), "some": kept()}


def test_bad_input(tmp_path: Path) -> None:
    file = tmp_path / "frozen.yaml"
    with pytest.raises(InputError, match='no shipped suite "none"; known: community_real'):
        freeze.chosen_suites(["none"])
    with pytest.raises(InputError, match="there is no such folder; use a checkout, or --file"):
        freeze.freeze(file=tmp_path / "nowhere" / "frozen.yaml")
    file.write_text("some:\n  id: mmg/Some-v3\n")
    with pytest.raises(InputError, match=r"frozen\.yaml: not written by mmg freeze"):
        read_frozen(file)
