"""Shapley values by their axioms, and on a game whose values are known."""

from itertools import combinations

import numpy as np
import pytest

from experiments.reproduce.shapley import shapley
from mmg_env.errors import InputError


def game(value, features="abcd"):
    subsets = (frozenset(s) for n in range(len(features) + 1) for s in combinations(features, n))
    return {subset: float(value(subset)) for subset in subsets}


def random_game(seed):
    rng = np.random.default_rng(seed)
    return game(lambda _: rng.normal())


def test_the_glove_game():
    """Whoever has the only left glove is due two thirds of the pair, the two right ones a sixth."""
    due = shapley(game(lambda s: "l" in s and bool(s & {"r", "q"}), "lrq"))
    assert due == pytest.approx({"l": 2 / 3, "r": 1 / 6, "q": 1 / 6})


@pytest.mark.parametrize("seed", range(5))
def test_what_is_due_adds_up_to_the_whole_change(seed):
    values = random_game(seed)
    change = values[frozenset("abcd")] - values[frozenset()]
    assert sum(shapley(values).values()) == pytest.approx(change)


def test_features_that_do_the_same_are_due_the_same():
    due = shapley(game(lambda s: len(s & {"a", "b"}) ** 2 + 3 * ("c" in s) * len(s)))
    assert due["a"] == pytest.approx(due["b"])
    assert due["a"] != pytest.approx(due["c"])


def test_a_feature_that_changes_nothing_is_due_nothing():
    due = shapley(game(lambda s: len(s - {"d"}) ** 3))
    assert due["d"] == 0.0
    assert min(due[name] for name in "abc") > 0.0


def test_values_of_two_games_add_up():
    one, other = random_game(1), random_game(2)
    both = shapley({subset: one[subset] + other[subset] for subset in one})
    apart = [shapley(one), shapley(other)]
    assert both == pytest.approx({name: sum(due[name] for due in apart) for name in both})


def test_a_combination_that_is_missing_is_named():
    values = random_game(0)
    del values[frozenset("bd")]
    with pytest.raises(InputError, match=r"\['b', 'd'\] is missing"):
        shapley(values)
