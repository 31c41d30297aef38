"""A picture shows what happened and nothing else; the balance closes."""

from dataclasses import replace

import numpy as np
import pytest

from mmg_env import CommunityEnv, Trajectory, load_system, sample_episode
from mmg_env.layout import REAL_COSTS
from mmg_env.render import describe_step, draw_day, draw_pixels, draw_steps, power_balance, until
from mmg_env.trajectory import simulate

SUITES = ("s1_3mg", "community_real")
OVERRIDES = {
    "no_pool": {"pool.enabled": False},
    "no_ces": {"ces": None},
    "one": {"ces": None, "members[*].battery": None},
}


def lived(suite: str, overrides: dict[str, object] | None = None) -> Trajectory:
    system = load_system(suite, overrides)
    episode = sample_episode(system, "test", 2)
    rng = np.random.default_rng(0)
    return simulate(system, episode, rng.normal(0.0, 300.0, (episode.steps, system.request_size)))


@pytest.fixture(scope="module")
def day() -> Trajectory:
    return lived("s1_3mg")


@pytest.mark.parametrize("suite", SUITES)
def test_sources_equal_uses(suite: str) -> None:
    above, below = power_balance(lived(suite))
    assert all((layer.power_kw >= 0.0).all() for layer in (*above, *below))
    supplied = sum(layer.power_kw for layer in above)
    used = sum(layer.power_kw for layer in below)
    # Losses are the remainder: they would be cut at zero, and the sides differ, if one was missed.
    assert np.allclose(supplied, used, rtol=1e-9, atol=1e-6)
    losses = next(layer.power_kw for layer in below if layer.label == "losses")
    assert (losses <= 0.1 * np.asarray(supplied)).all()


@pytest.mark.parametrize("name", OVERRIDES)
def test_without_a_pool_nothing_is_lost(name: str) -> None:
    trajectory = lived("s1_3mg", OVERRIDES[name])
    above, below = power_balance(trajectory)
    supplied = sum(layer.power_kw for layer in above)
    used = sum(layer.power_kw for layer in below)
    assert np.allclose(supplied, used, rtol=1e-9, atol=1e-6)
    assert draw_day(trajectory, 0).axes


def test_a_day_has_four_panels(day: Trajectory) -> None:
    figure = draw_day(day, 0)
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert [title.split(" (")[0].split(":")[0] for title in titles] == [
        "Power",
        "Stored energy",
        "Prices",
        "Cost since the first hour shown",
    ]
    assert figure.axes[0].get_xlim() == (0.0, 24.0)


def test_without_storage_there_is_no_panel_for_it() -> None:
    assert len(draw_day(lived("s1_3mg", OVERRIDES["one"]), 0).axes) == 3


def test_the_last_number_is_the_cost(day: Trajectory) -> None:
    (text,) = draw_day(day, 0).axes[-1].texts
    assert float(text.get_text().replace("\u202f", "")) == pytest.approx(day.cost, abs=0.5)


def test_a_week_in_one_picture() -> None:
    week = lived("community_real")
    figure = draw_steps(week, 0, 168)
    assert figure.axes[0].get_xlim() == (0.0, 168.0)
    assert len(figure.axes[-1].get_xticks()) == 8


@pytest.mark.parametrize("played", [0, 1, 13, 24])
def test_pixels(day: Trajectory, played: int) -> None:
    image = draw_pixels(day, played)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.std() > 5.0


def test_pixels_know_nothing_of_the_future(day: Trajectory) -> None:
    values = day.episode.values.copy()
    values[10:] *= 3.0
    other = replace(day, episode=replace(day.episode, values=values))
    assert np.array_equal(draw_pixels(day, 10), draw_pixels(other, 10))
    assert not np.array_equal(draw_pixels(day, 12), draw_pixels(other, 12))


def test_until_cuts_every_array(day: Trajectory) -> None:
    cut = until(day, 5)
    assert len(cut.flows) == len(cut.ledger) == len(cut.requests) == len(cut.decision_ms) == 5
    assert len(cut.states) == 6


def test_an_hour_in_words(day: Trajectory) -> None:
    lines = describe_step(day, 13).splitlines()
    cost = day.ledger[12, :, : len(REAL_COSTS)].sum()
    assert lines[0].startswith("s1_3mg  step 12  ")
    assert f"cost {cost:.2f} CNY" in lines[0]
    assert [line.split()[0] for line in lines[1:]] == ["kW", "MG1", "MG2", "MG3", "ces"]
    assert len({len(line) for line in lines[1:]}) == 1
    assert describe_step(day, 0) == "s1_3mg: no step has been played"


def test_the_environment_renders() -> None:
    for mode in ("ansi", "rgb_array"):
        env = CommunityEnv("s1_3mg", split="test", render_mode=mode)
        env.reset(options={"episode": 0})
        env.step(np.zeros(env.action_space.shape or ()))
        shown = env.render()
        assert isinstance(shown, str) == (mode == "ansi")
