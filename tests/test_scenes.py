"""The source `scenes`: nominal day, typical days, seasons, noise, tariff."""

import numpy as np
import pytest

from mmg_env.errors import InputError
from mmg_env.layout import X
from mmg_env.sources import scenes
from mmg_env.splits import nominal_episode, sample_episode
from mmg_env.system import load_system

KINDS = ("wind_kw", "pv_kw", "load_kw", "heat_kw")


@pytest.fixture(scope="module")
def system():
    return load_system("s1_3mg")


@pytest.fixture(scope="module")
def drawn(system):
    return [sample_episode(system, "train", i) for i in range(400)]


def profile_of(system, m, kind):
    member = system.config.members[m]
    device = (member.wind, member.pv, member.load, member.heat)[kind]
    if device is None:
        return np.zeros(24)
    size = device.capacity_kw if kind < 2 else device.peak_kw
    return size * np.array(system.config.source.profiles[device.profile])


def test_the_nominal_day_is_profiles_times_peaks_and_foreseen(system):
    episode = nominal_episode(system)
    for kind, name in enumerate(KINDS):
        for m in range(3):
            assert getattr(episode, name)[:, m] == pytest.approx(profile_of(system, m, kind))
    assert episode.price_buy == pytest.approx(system.config.tariff.buy_per_kwh)
    assert episode.price_sell == pytest.approx(system.config.tariff.sell_per_kwh)
    assert (episode.grid_up == 1.0).all()
    for t in (0, 7, 23):
        forecast = episode.forecast(t)
        base = 4 * episode.member_count + X.nomination_base_kw
        ahead = np.delete(forecast.values[: 24 - t], base, axis=1)
        assert ahead == pytest.approx(np.delete(episode.values[t:], base, axis=1))


def test_the_nominal_day_repeats_and_holds_at_other_step_lengths():
    finer = load_system("s1_3mg", {"dt_h": 0.25, "episode_h": 48})
    episode = nominal_episode(finer)
    assert episode.load_kw[:, 0] == pytest.approx(np.tile(np.repeat(profile_of(finer, 0, 2), 4), 2))


def factors(system, episode, m, kind):
    """Return season times scene of one member's series, from what was believed at first.

    That is read off the third day ahead, where the noise from before the episode has faded.
    """
    profile = profile_of(system, m, kind)
    hour = int(np.argmax(profile))
    return episode.center[48 + hour, kind * 3 + m] / profile[hour]


def season_and_scene(system, episode, m):
    """Return which season and scene explain a member's expected day, and how badly."""
    probability = np.array(system.config.source.scene_probabilities[system.members[m]])
    known = scenes.SCENES / (probability @ scenes.SCENES)
    seen = np.array([factors(system, episode, m, kind) for kind in range(4)])
    gap = np.abs(scenes.SEASONS[:, None] * known[None] - seen).max(axis=2)
    return (*np.unravel_index(gap.argmin(), gap.shape), gap.min())


def test_every_day_is_a_season_times_a_typical_day_with_the_stated_probabilities(system, drawn):
    found = [[season_and_scene(system, e, m) for m in range(3)] for e in drawn]
    seasons = np.array([[x[0] for x in row] for row in found])
    chosen = np.array([[x[1] for x in row] for row in found])
    assert max(x[2] for row in found for x in row) < 1e-4
    assert (seasons == seasons[:, :1]).all()
    assert np.bincount(seasons[:, 0], minlength=4) / 400 == pytest.approx(0.25, abs=0.08)
    for m, name in enumerate(system.members):
        share = np.bincount(chosen[:, m], minlength=5) / 400
        assert share == pytest.approx(system.config.source.scene_probabilities[name], abs=0.08)
    # The copula joins the members' scenes: the same scene more often than by chance.
    same = (chosen[:, 0] == chosen[:, 2]).mean()
    by_chance = sum((chosen[:, 0] == s).mean() * (chosen[:, 2] == s).mean() for s in range(5))
    assert same > by_chance + 0.1


def test_typical_days_have_mean_one_and_keep_the_annual_level(system, drawn):
    for kind in range(4):
        mean = np.mean([factors(system, e, 1, kind) for e in drawn])
        assert mean == pytest.approx(scenes.SEASONS[:, kind].mean(), rel=0.1)


def test_season_and_date_agree(system, drawn):
    months = {0: 4, 1: 7, 2: 10, 3: 1}
    for episode in drawn[:40]:
        season, _, _ = season_and_scene(system, episode, 0)
        month = int(str(episode.start)[5:7])
        assert (month - months[season]) % 12 <= 2


def test_shift_is_winter_with_more_load(system):
    for index in range(5):
        episode = sample_episode(system, "shift", index)
        assert int(str(episode.start)[5:7]) in (12, 1, 2)
        load = [factors(system, episode, m, 2) for m in range(3)]
        assert min(load) > 1.25 * scenes.SCENES[:, 2].min() / scenes.SCENES[:, 2].max()
        heat = np.array([factors(system, episode, m, 3) for m in range(3)])
        assert (heat > 0.9 * scenes.SEASONS[scenes.WINTER, 3]).all()
    more = np.mean([factors(system, sample_episode(system, "shift", i), 0, 2) for i in range(60)])
    assert more == pytest.approx(1.3, rel=0.03)


def test_noise_has_the_stated_size_and_members_share_half_of_it(drawn):
    ratio = np.array([(e.load_kw / e.center[:24, 6:9] - 1.0) / scenes.NOISE_SD[2] for e in drawn])
    late = ratio[:, 12:]
    assert late.std() == pytest.approx(1.0, abs=0.12)
    assert np.corrcoef(late[:, :, 0].ravel(), late[:, :, 1].ravel())[0, 1] == pytest.approx(
        scenes.COMMON_SHARE, abs=0.1
    )


def test_there_is_no_sun_at_night(drawn):
    for episode in drawn[:50]:
        assert not episode.pv_kw[:4].any()
        assert not episode.forecast(2).pv_kw[[0, 1, 22, 24]].any()


def test_the_tariff_stays_within_its_bound_and_daily_budget(system):
    nominal = np.array(system.config.tariff.buy_per_kwh)
    longer = load_system("s1_3mg", {"episode_h": 72})
    for index in range(60):
        deviation = sample_episode(longer, "train", index).price_buy / np.tile(nominal, 3) - 1.0
        assert np.abs(deviation).max() <= 0.15 + 1e-12
        assert np.abs(deviation).reshape(3, 24).sum(axis=1).max() <= 6.0 * 0.15 + 1e-9


def test_purchase_and_sale_price_deviate_together(drawn, system):
    ratio = np.array(system.config.tariff.sell_per_kwh) / np.array(system.config.tariff.buy_per_kwh)
    for episode in drawn[:20]:
        assert episode.price_sell / episode.price_buy == pytest.approx(ratio)


def test_a_dynamic_tariff_is_refused():
    dynamic = {
        "kind": "dynamic",
        "buy_adder_per_kwh": 0.1,
        "sell_factor": 0.9,
        "sell_adder_per_kwh": 0.0,
        "gas_per_m3": 2.5,
    }
    system = load_system("s1_3mg", {"tariff": dynamic})
    with pytest.raises(InputError, match="needs a flat or tou tariff, not dynamic"):
        nominal_episode(system)
