"""Every number of an observation, computed again from what `public` shows."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from strategies import make_case, make_config, make_episode

from mmg_env import CommunityEnv
from mmg_env.config import DayAheadConfig
from mmg_env.layout import MEMBER_SERIES, S, X
from mmg_env.system import build_system, load_system

CALENDAR = (
    "hour_sin",
    "hour_cos",
    "weekday_sin",
    "weekday_cos",
    "year_sin",
    "year_cos",
    "share_of_episode_left",
)


def env_with(name, paths):
    return CommunityEnv(load_system(name, paths), split="test")


@cache
def shipped_env(name):
    return env_with(name, {})


def observed(env, steps, start):
    """Yield (public, episode, observation by name in physical units) along random actions."""
    codec = env.observations
    observation, info = env.reset(**start)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        values = observation.astype(np.float64) * codec.scales
        yield info["public"], env.episode, dict(zip(codec.names, values, strict=True))
        observation, *_, info = env.step(rng.uniform(-1.0, 1.0, env.action_space.shape))


def envs():
    yield shipped_env("s1_3mg"), 24, {"seed": 0}
    yield shipped_env("community_real"), 30, {"seed": 0}
    for seed in (*range(8), 14, 17):
        system, episode, _ = make_case(seed)
        yield CommunityEnv(system), episode.steps, {"options": {"episode": episode}}


def value_of(public, episode, name):
    """Return the physical value that a name stands for."""
    t = public.step
    if name in CALENDAR:
        return calendar(public, episode)[name]
    if name == "grid_up":
        return episode.grid_up[t] if t < episode.steps else 1.0
    if name == "derating":
        return public.forecast.shared(X.derating)[0]
    owner, _, quantity = name.partition(".")
    if owner.startswith("forecast["):
        lead = int(owner[len("forecast[") : -1])
        return series(public.system, public.forecast.values[lead], quantity)
    if owner == "last_hour":
        return series(public.system, public.history.values[-1], quantity) if t else 0.0
    return state_value(public.system, public.state, owner, quantity)


def state_value(system, state, owner, quantity):
    if owner == "community":
        return state.nomination_kw[index_of(quantity)]
    p = system.participants.index(owner)
    if quantity.startswith("pool_plan_kw"):
        return state.pool_plan_kw[p, index_of(quantity)]
    if quantity == "soc":
        return state.energy_kwh[p] / state.capacity_kwh[p]
    return state.column(S[quantity])[p]


def index_of(quantity):
    return int(quantity[quantity.index("[") + 1 : -1])


def series(system, row, name):
    """Return one exogenous number of a row: `MG1.wind_kw` or `price_buy`."""
    members = len(system.members)
    owner, _, kind = name.rpartition(".")
    if owner:
        return row[MEMBER_SERIES.index(kind) * members + system.members.index(owner)]
    return row[4 * members + X[name]]


def calendar(public, episode):
    hours = public.step * public.system.dt_h
    now = episode.start.astype("datetime64[s]") + np.timedelta64(round(3600 * hours), "s")
    start = now.astype(object)
    clock = (start.hour + start.minute / 60) / 24
    week = (start.weekday() + clock) / 7
    new_year = np.datetime64(f"{episode.start.astype(object).year}-01-01T00", "h")
    year = (episode.start.astype("datetime64[h]") - new_year).astype(int) + hours
    angles = [2 * np.pi * turn for turn in (clock, week, year / 8766)]
    turns = [f(angle) for angle in angles for f in (np.sin, np.cos)]
    return dict(zip(CALENDAR, [*turns, 1 - public.step / episode.steps], strict=True))


def test_every_number_is_what_its_name_says():
    for env, steps, start in envs():
        for public, episode, shown in observed(env, steps, start):
            for name, value in shown.items():
                wanted = value_of(public, episode, name)
                close = abs(value - wanted) <= 1e-6 * max(1.0, abs(wanted))
                assert close, (env.system.name, public.step, name, value, wanted)


def test_names_units_and_scales_are_one_per_entry():
    for env, _, start in envs():
        codec = env.observations
        observation, _ = env.reset(**start)
        size = len(codec.names)
        assert observation.shape == (size,) == env.observation_space.shape
        assert codec.size == size == len(codec.units) == len(codec.scales) == len(set(codec.names))
        assert (codec.scales > 0.0).all()
        for name, unit in zip(codec.names, codec.units, strict=True):
            stem = name.partition("[")[0] if not name.startswith("forecast") else name
            for suffix, wanted in (("_kw", "kW"), ("_kwh", "kWh"), (".soc", "1"), ("_sin", "1")):
                if stem.endswith(suffix) and not stem.endswith("_per_kwh"):
                    assert unit == wanted, name


def test_observations_are_float32_finite_and_of_order_one():
    for name in ("s1_3mg", "community_real"):
        env = shipped_env(name)
        rng = np.random.default_rng(1)
        env.reset(seed=1)
        for _ in range(24):
            observation, *_ = env.step(rng.uniform(-1, 1, env.action_space.shape))
            assert observation.dtype == np.float32
            assert observation.flags.owndata
            assert env.observation_space.contains(observation)
            assert np.abs(observation).max() < 20.0


def test_one_forecast_feeds_policy_and_observation():
    env = shipped_env("community_real")
    for public, episode, shown in observed(env, 3, {"seed": 4}):
        forecast = episode.forecast(public.step)
        assert public.forecast.values.tobytes() == forecast.values.tobytes()
        wind = [shown[f"forecast[{lead}].village.wind_kw"] for lead in range(24)]
        assert wind == pytest.approx(forecast.wind_kw[:24, 0], rel=1e-6)


def test_the_last_observation_is_there_and_knows_no_more_hours():
    env = shipped_env("s1_3mg")
    env.reset(seed=0)
    for _ in range(24):
        observation, *_, truncated, info = env.step(np.zeros(env.action_space.shape))
    assert truncated
    assert info["public"].step == info["public"].history.steps == 24
    shown = dict(zip(env.observations.names, observation, strict=True))
    assert shown["share_of_episode_left"] == 0.0
    assert shown["grid_up"] == 1.0
    assert np.isfinite(observation).all()


def names_of(name, paths=None):
    return set(env_with(name, paths or {}).observations.names)


def test_commitments_are_shown_where_there_are_any():
    plans = {f"{p}.pool_plan_kw[{h}]" for p in ("MG1", "MG2", "MG3", "ces") for h in range(24)}
    nominations = {f"community.nomination_kw[{h}]" for h in range(24)}
    rents = {f"village.{what}" for what in ("rental_kwh", "rental_kw", "virtual_kwh")}
    assert plans <= names_of("s1_3mg")
    assert not nominations & names_of("s1_3mg")
    real = names_of("community_real")
    assert nominations | rents <= real
    assert not any("pool_plan" in name for name in real)
    assert not rents & names_of("community_real", {"ces.rental": False})


def test_the_days_quote_is_shown_where_it_is_a_commitment():
    paths = {"pool.price_rule": "auction"}
    assert "MG1.quote_per_kwh" in names_of("s1_3mg", paths)
    assert "MG1.quote_per_kwh" not in names_of("s1_3mg")
    assert "village.quote_per_kwh" not in names_of("community_real", paths)


def test_what_a_member_has_not_is_not_there():
    real = names_of("community_real")
    assert not {"works.soc", "village.chp_kw", "estate.heat_kw", "suburb.wind_kw"} & real
    assert {"works.chp_kw", "works.peak_kw", "village.soc", "ces.soc"} <= real
    assert not any("estate.heat_kw" in name or "suburb.wind_kw" in name for name in real)
    assert not any(name.endswith("peak_kw") for name in names_of("s1_3mg"))


@pytest.mark.parametrize(
    ("dt_h", "planned", "leads"),
    [(1.0, True, 24), (0.25, False, 24), (0.25, True, 96), (2.0, True, 24)],
)
def test_leads_cover_a_day_where_a_day_is_committed(dt_h, planned, leads):
    config = make_config(3, dt_h=dt_h, day_ahead=DayAheadConfig(pool=False, grid=planned))
    assert CommunityEnv(build_system(config)).observations.leads == leads


@pytest.mark.parametrize("dt_h", [3.0, 6.0, 24.0])
def test_no_lead_lies_beyond_the_forecast(dt_h):
    config = make_config(3, dt_h=dt_h, day_ahead=DayAheadConfig(pool=False, grid=True))
    system = build_system(config)
    env = CommunityEnv(system)
    episode = make_episode(system, 3)
    assert env.observations.leads <= episode.leads
    for public, _, shown in observed(env, episode.steps, {"options": {"episode": episode}}):
        last = env.observations.leads - 1
        member = system.members[0]
        wanted = public.forecast.load_kw[last, 0]
        assert shown[f"forecast[{last}].{member}.load_kw"] == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(
    ("suite", "actions", "observed"), [("s1_3mg", 106, 465), ("community_real", 52, 583)]
)
def test_sizes_are_those_of_the_model_page(suite, actions, observed):
    env = CommunityEnv(suite)
    assert (env.action_space.shape, env.observation_space.shape) == ((actions,), (observed,))
    page = (Path(__file__).parents[1] / "docs" / "model.md").read_text(encoding="utf-8")
    first, second = "s1_3mg has 106 action entries and 465", "community_real 52 and\n583"
    assert first in page
    assert second in page
