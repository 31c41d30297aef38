"""How much of a change each of several features is due, whatever the order in which they come.

With v(S) the value where the features S are there, feature i of n is due ::

    phi_i = sum over S without i of  |S|! (n - |S| - 1)! / n!  (v(S + i) - v(S))

The phi add up to v(all) - v(none), features that do the same are due the same, and one that changes
nothing is due nothing.

Source: Shapley 1953.
"""

from collections.abc import Hashable, Iterator, Mapping
from itertools import combinations
from math import factorial
from typing import TypeVar

from mmg_env.errors import InputError

Feature = TypeVar("Feature", bound=Hashable)


def shapley(values: Mapping[frozenset[Feature], float]) -> dict[Feature, float]:
    """Return what each feature is due, in the unit of the values.

    Args:
        values: the value of every combination of the features, none and all of them included.

    Raises:
        InputError: a combination is missing.
    """
    features: frozenset[Feature] = frozenset().union(*values)
    missing = next((s for s in _subsets(features) if s not in values), None)
    if missing is not None:
        raise InputError(f"values: the combination {sorted(map(str, missing))} is missing")
    count, due = len(features), {}
    for feature in features:
        total = 0.0
        for rest in _subsets(features - {feature}):
            orders = factorial(len(rest)) * factorial(count - len(rest) - 1)
            total += orders / factorial(count) * (values[rest | {feature}] - values[rest])
        due[feature] = total
    return due


def _subsets(features: frozenset[Feature]) -> Iterator[frozenset[Feature]]:
    """Yield all subsets."""
    for size in range(len(features) + 1):
        yield from map(frozenset, combinations(features, size))
