"""Pairs of which not both may be positive: their overlap, and where they stand in other programmes.

How they are found and forbidden in a model, `test_deterministic` says.
"""

import numpy as np

from baselines.exclusivity import Pairs

PAIRS = Pairs(
    np.array([[0, -1], [1, -1]]),
    np.array([[2, -1], [3, 4]]),
    np.array([5.0, 6.0]),
    np.array([7.0, 8.0]),
    np.array([10, 11]),
)


def test_an_overlap_is_the_smaller_of_two_sums():
    np.testing.assert_array_equal(PAIRS.overlap(np.array([3.0, 1.0, 2.0, 0.5, 0.25])), [2.0, 0.75])


def test_pairs_in_another_programme_mean_the_same_columns():
    place = np.array([9, 4, 0, 7, 2])
    elsewhere = PAIRS.placed(place)
    assert elsewhere.first.tolist() == [[9, -1], [4, -1]]
    assert elsewhere.second.tolist() == [[0, -1], [7, 2]]
    x = np.random.default_rng(0).uniform(size=10)
    np.testing.assert_array_equal(elsewhere.overlap(x), PAIRS.overlap(x[place]))
    for name in ("first_max", "second_max", "group"):
        assert getattr(elsewhere, name) is getattr(PAIRS, name)
