"""The pictures of learning: a panel per suite, a line or a level per learner; profiles."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from experiments.report.curves import Look, Zero, colours_of, draw_curves, draw_profiles
from experiments.report.table import Played, Table

PNG = b"\x89PNG"


@pytest.fixture
def kept(monkeypatch):
    """Return a list of the figures that are closed otherwise."""
    kept = []
    monkeypatch.setattr(plt, "close", kept.append)
    yield kept
    monkeypatch.undo()
    plt.close("all")


@pytest.fixture
def drawn(tmp_path, kept):
    """Return a function that draws curves and hands back the axes."""

    def draw(looks, zeros):
        colours = colours_of(look.learner for look in looks)
        draw_curves(looks, zeros, colours, tmp_path / "curves.png")
        assert (tmp_path / "curves.png").read_bytes().startswith(PNG)
        return kept[-1].axes

    return draw


def looks_of(suite, learner, *curves, every=1000.0):
    return [
        Look(suite, learner, seed, every * k, 1.0 * k, cost)
        for seed, costs in enumerate(curves)
        for k, cost in enumerate(costs)
    ]


def line_of(axis, label):
    return next(line for line in axis.lines if line.get_label() == label)


TINY = {"tiny": Zero("tuned_rule", 21.0, "EUR")}


def test_a_line_is_the_mean_over_seeds_up_to_where_all_have_come(drawn):
    looks = looks_of("tiny", "ppo", [30.0, 20.0, 18.0], [32.0, 24.0])
    (axis,) = drawn(looks, TINY)
    assert np.asarray(line_of(axis, "ppo").get_ydata()).tolist() == [31.0, 22.0]
    assert axis.get_ylabel() == "cost on val, EUR"


def test_seeds_are_averaged_at_steps_that_all_have(drawn):
    often = [Look("tiny", "ppo", 1, 500.0 * k, 0.0, 40.0 + k) for k in range(5)]
    (axis,) = drawn([*looks_of("tiny", "ppo", [30.0, 20.0, 18.0]), *often], TINY)
    line = line_of(axis, "ppo")
    assert np.asarray(line.get_xdata()).tolist() == [0.0, 1000.0, 2000.0]
    assert np.asarray(line.get_ydata()).tolist() == [35.0, 31.0, 31.0]


def test_of_a_step_that_occurs_twice_the_last_counts(drawn):
    again = Look("tiny", "ppo", 0, 1000.0, 9.0, 26.0)
    (axis,) = drawn([*looks_of("tiny", "ppo", [30.0, 20.0]), again], TINY)
    assert np.asarray(line_of(axis, "ppo").get_ydata()).tolist() == [30.0, 26.0]


def test_what_is_evaluated_once_is_a_level_and_every_suite_has_a_panel(drawn):
    looks = looks_of("tiny", "bc", [19.0], [21.0]) + looks_of("s1_3mg", "sac", [9.0, 8.0])
    first, second = drawn(looks, TINY | {"s1_3mg": Zero("some_rule", 8.5, "CNY")})
    assert set(line_of(first, "bc").get_ydata()) == {20.0}
    assert [line.get_label() for line in second.lines] == ["some_rule", "sac"]
    low, high = second.get_ylim()
    assert low < 8.0 < 8.5 < high


def test_a_profile_is_the_share_of_runs_that_score_more(tmp_path, kept):
    costs = {
        "oracle": [[0.0, 0.0, 0.0, 0.0]],
        "some_rule": [[10.0, 10.0, 10.0, 10.0]],
        "small": [[10.0, 6.0, 2.0, 80.0], [6.0, 6.0, 2.0, 1.0]],
    }
    played = {
        name: Played(np.array(rows), tuple(range(len(rows))), 1.0) for name, rows in costs.items()
    }
    agents = {"small": {0: "a", 1: "b"}}
    place = ("tiny", "test", "EUR", ("some_rule",), (0, 1, 2, 3))
    table = Table(*place, played, agents, ())
    draw_profiles([table], colours_of(["small"]), tmp_path / "profiles.png")
    assert (tmp_path / "profiles.png").read_bytes().startswith(PNG)
    (axis,) = kept[-1].axes
    assert [line.get_label() for line in axis.lines] == ["some_rule", "small"]
    line = line_of(axis, "small")
    scores = np.asarray(line.get_xdata())
    assert (scores[0], scores[-1]) == (-1.0, 0.9)  # what is worse than -1 is not drawn
    # Scores are 0, .4, .8, -7 and .4, .4, .8, .9; x lies between them.
    shares = np.interp([-0.5, 0.2, 0.6, 0.85], scores, np.asarray(line.get_ydata()))
    assert (8 * shares).tolist() == pytest.approx([7.0, 6.0, 3.0, 1.0])
