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


def test_a_dynamic_tariff_needs_a_wholesale_price():
    dynamic = {
        "kind": "dynamic",
        "buy_adder_per_kwh": 0.1,
        "sell_factor": 0.9,
        "sell_adder_per_kwh": 0.0,
        "gas_per_m3": 2.5,
    }
    with pytest.raises(InputError, match=r"dynamic needs source\.wholesale_per_kwh"):
        load_system("s1_3mg", {"tariff": dynamic})
    stated = {"tariff": dynamic, "source.wholesale_per_kwh": [0.5] * 24}
    episode = sample_episode(load_system("s1_3mg", stated), "test", 0)
    assert episode.price_buy == pytest.approx(1.09 * episode.shared(X.spot) + 0.1)


def crh(**overrides):
    return load_system("s2_crh", overrides)


def test_the_wholesale_price_moves_sale_and_market_but_not_the_purchase():
    system = crh()
    expected = np.array(system.config.source.wholesale_per_kwh)
    buy = np.array(system.config.tariff.buy_per_kwh)
    for index in range(20):
        episode = sample_episode(system, "test", index)
        spot = episode.shared(X.spot)
        assert not np.allclose(spot, expected)
        assert episode.price_sell == pytest.approx(np.minimum(0.5 * spot, episode.price_buy))
        assert (np.abs(episode.price_buy / buy - 1.0) <= 0.15 + 1e-9).all()
        free = episode.shared(X.ces_sell) == spot  # where no clamp against a money pump binds
        assert free.mean() > 0.5


def test_the_wholesale_price_deviates_as_stated_and_fades_slowly():
    system = crh()
    expected = np.array(system.config.source.wholesale_per_kwh)
    drawn = [sample_episode(system, "train", index) for index in range(600)]
    relative = np.array([e.shared(X.spot) / expected - 1.0 for e in drawn])
    assert relative.mean() == pytest.approx(0.0, abs=0.02)
    assert relative.std() == pytest.approx(system.config.source.wholesale_sd, rel=0.1)
    together = np.corrcoef(relative[:, :-1].ravel(), relative[:, 1:].ravel())[0, 1]
    assert together == pytest.approx(0.95, abs=0.02)


def test_the_forecast_of_the_wholesale_price_is_unbiased_and_sharpens():
    system = crh()
    drawn = [sample_episode(system, "train", index) for index in range(400)]
    errors = [
        [e.forecast(t).shared(X.spot)[12 - t] - e.shared(X.spot)[12] for t in (0, 6, 12)]
        for e in drawn
    ]
    sd = np.std(errors, axis=0)
    assert np.abs(np.mean(errors, axis=0)) == pytest.approx(0.0, abs=0.01)
    assert sd[0] > sd[1] > sd[2] > 0.0


def test_a_wholesale_price_never_falls_below_a_tenth_of_what_is_expected():
    system = crh(**{"source.wholesale_sd": 1.0})
    least = 0.1 * np.array(system.config.source.wholesale_per_kwh)
    lowest = np.inf
    for index in range(50):
        episode = sample_episode(system, "train", index)
        ratio = episode.shared(X.spot) / least
        lowest = min(lowest, ratio.min())
        assert (episode.forecast(12).shared(X.spot)[:12] >= least[12:] * (1.0 - 1e-12)).all()
    assert lowest == pytest.approx(1.0)


def test_a_stated_wholesale_price_leaves_the_other_series_as_they_are():
    system = crh()
    without = load_system(
        "s2_crh",
        {
            "tariff": {
                "kind": "tou",
                "gas_per_m3": 2.5,
                "buy_per_kwh": list(system.config.tariff.buy_per_kwh),
                "sell_per_kwh": [0.1] * 24,
            },
            "ces.market": {"price": "retail"},
            "source.wholesale_per_kwh": None,
        },
    )
    for index in range(3):
        one, other = (sample_episode(s, "test", index) for s in (system, without))
        assert one.price_buy.tobytes() == other.price_buy.tobytes()
        assert one.load_kw.tobytes() == other.load_kw.tobytes()
        assert one.pv_kw.tobytes() == other.pv_kw.tobytes()


def test_without_a_wholesale_price_nothing_may_follow_it():
    with pytest.raises(InputError, match=r"feed_in needs source\.wholesale_per_kwh"):
        crh(**{"source.wholesale_per_kwh": None})
    with pytest.raises(InputError, match=r"spot needs source\.wholesale_per_kwh"):
        load_system("s1_3mg", {"ces.market": {"price": "spot"}})
