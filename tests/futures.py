"""Futures of no system, for tests of what is done with scenarios."""

import numpy as np

from mmg_env.series import Scenarios


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def futures(values: object, probability: object = None) -> Scenarios:
    """Return scenarios (scenarios, leads, columns) of no system."""
    array = np.array(values, dtype=np.float64)
    equal = np.full(len(array), 1.0 / len(array))
    return Scenarios(array, equal if probability is None else np.array(probability), 0)


def random_futures(seed: int, count: int) -> Scenarios:
    """Return futures of which the fourth column never differs, unequally likely."""
    draws = rng(seed)
    values = draws.normal(size=(count, 3, 4)) * [1.0, 10.0, 0.1, 0.0]
    return futures(values, draws.dirichlet(np.ones(count)))


def random_known(seed: int) -> Scenarios:
    """Return unequally likely futures that do not differ."""
    return futures(np.full((7, 2, 1), 0.1), rng(seed).dirichlet(np.ones(7)))
