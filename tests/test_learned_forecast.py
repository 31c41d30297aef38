"""A learned forecast: what it leaves alone, what it may read, and that it is a policy."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from baselines.learned_forecast import (
    AROUND,
    AS_IT_IS,
    ForecastAgent,
    LearnedForecast,
    predictors,
    uncertain,
)
from baselines.mpc import Mpc
from mmg_env import CommunityEnv, load_system, rollout
from mmg_env.climatology import climatology
from mmg_env.public import PublicInfo
from mmg_env.splits import sample_episode


@cache
def system_of(suite):
    return load_system(suite)


def told(suite, step, index=0):
    """Return what is public at a step of a val episode, whoever played before."""
    system = system_of(suite)
    episode = sample_episode(system, "val", index)
    state = CommunityEnv(system, "val").reset(options={"episode": index})[1]["public"].state
    return PublicInfo(system, step, state, episode.forecast(step), lambda: episode.until(step))


def weights_of(suite, rng=None):
    system = system_of(suite)
    leads = sample_episode(system, "val", 0).leads
    weights = np.tile(AS_IT_IS, (leads, system.exogenous_size, 1))
    return weights if rng is None else weights + rng.normal(0.0, 0.3, weights.shape)


@pytest.mark.parametrize("suite", ["tiny", "s1_3mg", "community_real", "resilience"])
@pytest.mark.parametrize("step", [0, 1, 13])
def test_it_can_leave_a_forecast_alone(suite, step):
    public = told(suite, step)
    same = LearnedForecast(weights_of(suite))(public)
    assert same.values == pytest.approx(public.forecast.values, rel=1e-12, abs=1e-9)
    assert same.issue == step


@pytest.mark.parametrize("suite", ["tiny", "s1_3mg", "community_real"])
def test_what_is_known_stays_and_what_comes_out_is_physical(suite):
    public = told(suite, 5)
    system, rng = public.system, np.random.default_rng(1)
    values = LearnedForecast(weights_of(suite, rng))(public).values
    known = ~uncertain(climatology(system), public.forecast)
    assert values[:, known].tobytes() == public.forecast.values[:, known].tobytes()
    model = public.forecast.model
    assert (values[:, ~known] >= model.low[~known]).all()
    assert (values[:, ~known] <= model.high[~known]).all()
    assert not np.array_equal(values, public.forecast.values)


def test_predictors_are_what_their_names_say():
    public = told("community_real", 30)
    system, climate = public.system, climatology(public.system)
    seen = predictors(climate, public.history, public.forecast, system.steps_per_day)
    center, scale = climate.expected(public.history.start, 30, len(seen))
    with np.errstate(all="ignore"):
        ahead = np.where(scale > 0, (public.forecast.values - center) / scale, 0.0)
    varies = uncertain(climate, public.forecast) & (scale > 0).all(axis=0)
    past = climate.residuals(public.history.start, public.history.values)
    for lead in (0, 1, 7, 46, 47):
        near = ahead[max(0, lead - AROUND) : lead + AROUND + 1].mean(axis=0)
        wanted = [ahead[lead], near, ahead[:24].mean(axis=0), past[-1], past[-24:].mean(axis=0)]
        assert seen[lead][varies] == pytest.approx(np.stack(wanted, axis=-1)[varies])


def test_it_reads_nothing_but_what_is_public():
    public = told("community_real", 20)
    episode = sample_episode(public.system, "val", 0)
    other = np.array(episode.values)
    other[20:] += 7.0
    lying = replace(episode, values=other)
    learned = LearnedForecast(weights_of("community_real", np.random.default_rng(2)))
    again = replace(public, past=lambda: lying.until(20))
    assert learned(public).values.tobytes() == learned(again).values.tobytes()


def test_a_forecast_left_alone_gives_the_plans_of_mpc():
    system = system_of("tiny")
    agent = ForecastAgent(system, LearnedForecast(weights_of("tiny")))
    ours, plain = (
        rollout(CommunityEnv(system, "val"), policy, options={"episode": 3})
        for policy in (agent, Mpc(system))
    )
    assert ours.cost == pytest.approx(plain.cost, rel=1e-9)
