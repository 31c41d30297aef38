"""The source `markov`: a law that is known exactly."""

import numpy as np
import pytest

from mmg_env import InputError, load_system, sample_episode
from mmg_env.layout import X
from mmg_env.sources.markov import (
    LOAD_STATES,
    PRICE_STATES,
    expectation,
    markov_source,
    state_values,
    transition_matrix,
)


@pytest.fixture(scope="module")
def system():
    return load_system("tiny")


@pytest.mark.parametrize("states", [2, 3, 5, 8])
@pytest.mark.parametrize("phi", [-0.4, 0.0, 0.6, 0.95, 1.0])
def test_the_conditional_mean_is_phi_times_the_value(states, phi):
    matrix, v = transition_matrix(states, phi), state_values(states)
    assert (matrix >= 0.0).all()
    assert matrix.sum(axis=1) == pytest.approx(np.ones(states))
    assert matrix @ v == pytest.approx(phi * v, abs=1e-12)


@pytest.mark.parametrize("states", [2, 3, 5])
def test_the_stationary_law_is_binomial_of_mean_0_and_variance_1(states):
    from scipy.stats import binom

    law = binom.pmf(np.arange(states), states - 1, 0.5)
    v = state_values(states)
    assert law @ transition_matrix(states, 0.7) == pytest.approx(law)
    assert (law @ v, law @ v**2) == pytest.approx((0.0, 1.0))


def test_the_forecast_is_the_conditional_mean(system):
    """By enumeration: the law of the states n hours on is a power of the matrix."""
    source = markov_source(system)
    rows = system.episode_steps + 48
    center, scale = expectation(system, rows)
    columns = {4 + X.spot: (PRICE_STATES, source.spot_persistence), 2: (3, source.load_persistence)}
    for index in range(5):
        episode = sample_episode(system, "test", index)
        for t in (0, 1, 9, 23):
            told = episode.forecast(t).values
            for column, (states, phi) in columns.items():
                v, matrix = state_values(states), transition_matrix(states, phi)
                law = np.eye(states)[states // 2]
                if t > 0:
                    last = center[t - 1, column] + scale[t - 1, column] * v
                    law = np.eye(states)[np.argmin(np.abs(last - episode.values[t - 1, column]))]
                for n in range(24):
                    law = law @ matrix
                    h = t + n
                    mean = law @ (center[h, column] + scale[h, column] * v)
                    assert told[n, column] == pytest.approx(mean)


def test_paths_follow_the_matrix(system):
    """Frequencies of transitions over many days, within four standard errors."""
    v = state_values(LOAD_STATES)
    paths = np.array([sample_episode(system, "train", i).errors[:, 0] for i in range(400)])
    states = np.abs(paths[..., None] - v).argmin(axis=2)
    matrix = transition_matrix(LOAD_STATES, markov_source(system).load_persistence)
    for i in range(LOAD_STATES):
        after = states[:, 1:][states[:, :-1] == i]
        for j in range(LOAD_STATES):
            allowed = 4.0 * np.sqrt(matrix[i, j] * (1.0 - matrix[i, j]) / len(after))
            assert (after == j).mean() == pytest.approx(matrix[i, j], abs=allowed)


def test_every_value_is_that_of_a_state(system):
    episode = sample_episode(system, "val", 7)
    center, scale = expectation(system, episode.steps)
    allowed = center[:, 2, None] + scale[:, 2, None] * state_values(LOAD_STATES)
    assert np.abs(allowed - episode.load_kw).min(axis=1) == pytest.approx(np.zeros(24), abs=1e-9)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"members[0].pv": {"capacity_kw": 5, "profile": "pv"}}, "prices and electric loads only"),
        ({"source.load_step": 0.5}, "makes the least load -0.2"),
        ({"dt_h": 0.5}, "must be 1, the step of the source"),
    ],
)
def test_what_it_does_not_know_is_refused(overrides, sentence):
    with pytest.raises(InputError, match=sentence):
        load_system("tiny", overrides)
