"""Tuned rules: what is frozen is what was found, and it was worth finding."""

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from baselines import POLICIES, playable
from baselines.rules import tuned_rule
from experiments.cli import app
from experiments.tune_rules import RANGES, Search, costs, frozen_hash, thresholds_hash, tune
from mmg_env import InputError, load_system
from mmg_env.config_file import config_directory, load_suite, suite_names
from mmg_env.config_rules import Thresholds, TunedRuleConfig

TUNED = [name for name in suite_names() if load_suite(name).tuned_rule is not None]


@pytest.mark.parametrize("name", TUNED)
def test_frozen_thresholds_are_those_that_were_found(name):
    text = (config_directory() / "suites" / f"{name}.yaml").read_text(encoding="utf-8")
    tuned = load_system(name).config.tuned_rule
    assert frozen_hash(text) == thresholds_hash(tuned.rule, tuned.thresholds)
    for threshold, (low, high) in RANGES.items():
        assert low <= getattr(tuned.thresholds, threshold) <= high


def test_benchmarks_are_scored_from_their_tuned_rule():
    assert set(TUNED) >= {name for name in suite_names() if not load_suite(name).regression}
    for name in TUNED:
        assert load_system(name).config.score_zero == "tuned_rule"


@pytest.mark.parametrize("name", [name for name in TUNED if name != "large_50"])
def test_on_val_they_cost_less_than_untuned_ones(name):
    tuned = load_system(name).config.tuned_rule
    count = 8 if load_system(name).config.episode_h > 24 else 24
    found = costs(name, tuned.rule, tuned.thresholds, count, 1).mean()
    for rule in ("self_consumption", "time_of_use"):
        assert found < costs(name, rule, Thresholds(), count, 1).mean()


def test_the_hash_tells_every_threshold_and_the_rule():
    base = Thresholds()
    other = base.model_copy(update={"chp": 1.0001})
    hashes = {thresholds_hash(rule, t) for rule in ("a", "b") for t in (base, other)}
    assert len(hashes) == 4


def test_a_search_finds_no_worse_than_where_it_began():
    search = Search("tiny", episodes=12, rounds=3)
    found = tune(search, "time_of_use", Thresholds())
    assert found.cost <= found.untuned_cost
    assert tune(search, "time_of_use", Thresholds()) == found


def test_the_command_prints_a_block_that_a_suite_can_hold():
    arguments = ["tune-rules", "--suite", "tiny", "--episodes", "4", "--rounds", "1"]
    result = CliRunner().invoke(app, [*arguments, "--workers", "1"])
    assert result.exit_code == 0
    block = result.stdout[result.stdout.index("# Made by") :]
    content = yaml.safe_load(block)["tuned_rule"]
    tuned = TunedRuleConfig.model_validate(content)
    assert frozen_hash(block) == thresholds_hash(tuned.rule, tuned.thresholds)
    system = load_system("tiny", {"tuned_rule": content})
    assert tuned_rule(system) is not None


def test_a_system_without_a_block_is_refused():
    system = load_system("community_real", {"tuned_rule": None})
    assert "tuned_rule" not in playable(system)
    with pytest.raises(InputError, match="mmg tune-rules --suite community_real"):
        POLICIES["tuned_rule"](system)


def test_a_file_that_states_no_hash_is_refused():
    with pytest.raises(InputError, match="states no hash"):
        frozen_hash("tuned_rule: {}")


def test_costs_do_not_depend_on_the_number_of_workers():
    one, two = (costs("tiny", "time_of_use", Thresholds(), 6, workers) for workers in (1, 2))
    np.testing.assert_array_equal(one, two)
