"""Risk: the mean, the bad end, and the programme that minimises both."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import minimize_scalar

from baselines.programme import Programme, numbers_of
from baselines.risk import NEUTRAL, Risk, weigh
from mmg_env.errors import InputError

COSTS = st.lists(st.floats(-100, 100), min_size=2, max_size=12)


def drawn(costs, seed=0):
    weights = np.random.default_rng(seed).uniform(0.1, 1.0, len(costs))
    return np.array(costs), weights / weights.sum()


@given(COSTS, st.floats(0.0, 0.97))
def test_cvar_is_the_minimum_over_eta(costs, alpha):
    z, p = drawn(costs)
    found = Risk(1.0, alpha).of(z, p)
    wanted = min(eta + p @ np.maximum(z - eta, 0.0) / (1.0 - alpha) for eta in z)
    assert found == pytest.approx(wanted, abs=1e-9 * (1 + abs(wanted)))


@given(COSTS, st.floats(0.0, 0.97), st.floats(0.0, 1.0))
def test_weights_are_probabilities_and_the_slope(costs, alpha, beta):
    z, p = drawn(costs)
    risk = Risk(beta, alpha)
    q = risk.weights(z, p)
    assert q.sum() == pytest.approx(1.0)
    assert (q >= -1e-12).all()
    assert (q <= (1.0 - beta) * p + beta * p / (1.0 - alpha) + 1e-9).all()
    other = z + np.random.default_rng(1).normal(size=len(z))
    assert risk.of(other, p) >= risk.of(z, p) + q @ (other - z) - 1e-8


@given(COSTS, st.floats(0.0, 0.97), st.floats(0.0, 1.0))
def test_it_lies_between_the_mean_and_the_worst(costs, alpha, beta):
    z, p = drawn(costs)
    assert p @ z - 1e-9 <= Risk(beta, alpha).of(z, p) <= z.max() + 1e-9


@given(COSTS)
def test_level_zero_is_the_mean_and_near_one_the_worst(costs):
    z, p = drawn(costs)
    assert Risk(1.0, 0.0).of(z, p) == pytest.approx(p @ z)
    assert Risk(1.0, 1.0 - 1e-9).of(z, p) == pytest.approx(z.max())
    assert NEUTRAL.of(z, p) == pytest.approx(p @ z)


@pytest.mark.parametrize(("beta", "alpha"), [(-0.1, 0.5), (1.1, 0.5), (0.5, -0.1), (0.5, 1.0)])
def test_what_is_no_weight_or_level_is_refused(beta, alpha):
    with pytest.raises(InputError, match="must"):
        Risk(beta, alpha)


def line(slopes, constants):
    """Minimise over x in 0..1; scenario s costs slope x + constant."""
    n = len(slopes)
    nothing = np.zeros(0)
    bounds = numbers_of(np.zeros(1), np.ones(1), nothing, nothing, np.zeros(1))
    programme = Programme("line", sparse.csr_array((0, 1)), bounds)
    return programme, sparse.csr_array(np.reshape(slopes, (n, 1))), np.array(constants)


@pytest.mark.parametrize("risk", [NEUTRAL, Risk(0.3, 0.9), Risk(0.7, 0.4), Risk(1.0, 0.5)])
def test_the_programme_minimises_the_risk(risk):
    rng = np.random.default_rng(3)
    slopes, constants = rng.normal(size=7), rng.normal(size=7)
    probability = rng.dirichlet(np.ones(7))
    programme, costs, offsets = line(slopes, constants)
    found = weigh(programme, costs, offsets, probability, risk).solve()

    def at(x):
        return risk.of(slopes * x + constants, probability)

    wanted = min(at(0.0), at(1.0), minimize_scalar(at, bounds=(0, 1), method="bounded").fun)
    assert found.objective == pytest.approx(wanted, abs=1e-6)
    assert at(found.x[0]) == pytest.approx(found.objective, abs=1e-7)


def test_several_parties_are_each_weighed_alone():
    """Two parties whose bad scenarios differ: together they would have none."""
    programme, _, _ = line([0.0], [0.0])
    offsets, half = np.array([10.0, 0.0, 0.0, 10.0]), np.array([0.5, 0.5])
    nothing = sparse.csr_array((4, 1))
    risk = Risk(1.0, 0.5)
    apart = weigh(programme, nothing, offsets, half, risk).solve().objective
    together = weigh(programme, nothing[:2], offsets[:2] + offsets[2:], half, risk).solve()
    assert apart == pytest.approx(20.0)
    assert together.objective == pytest.approx(10.0)
