"""The picture of learning curves: a panel per suite, a line or a level per learner."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from experiments.report.curves import Look, draw_curves


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Return a function that draws and hands back the axes, which are closed otherwise."""
    kept = []
    monkeypatch.setattr(plt, "close", kept.append)

    def draw(looks, rules):
        draw_curves(looks, rules, tmp_path / "curves.png")
        assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
        return kept[-1].axes

    yield draw
    monkeypatch.undo()
    plt.close("all")


def looks_of(suite, learner, *curves):
    return [
        Look(suite, learner, seed, 1000.0 * k, 1.0 * k, cost)
        for seed, costs in enumerate(curves)
        for k, cost in enumerate(costs)
    ]


def test_a_line_is_the_mean_over_seeds_up_to_where_all_have_come(drawn):
    looks = looks_of("tiny", "ppo", [30.0, 20.0, 18.0], [32.0, 24.0])
    (axis,) = drawn(looks, {"tiny": (21.0, "EUR")})
    line = next(line for line in axis.lines if line.get_label() == "ppo")
    assert np.asarray(line.get_ydata()).tolist() == [31.0, 22.0]
    assert axis.get_ylabel() == "cost on val, EUR"


def test_what_is_evaluated_once_is_a_level_and_every_suite_has_a_panel(drawn):
    looks = looks_of("tiny", "bc", [19.0], [21.0]) + looks_of("s1_3mg", "sac", [9.0, 8.0])
    first, second = drawn(looks, {"tiny": (21.0, "EUR"), "s1_3mg": (8.5, "CNY")})
    level = next(line for line in first.lines if line.get_label() == "bc")
    assert set(level.get_ydata()) == {20.0}
    assert [line.get_label() for line in second.lines] == ["tuned rule", "sac"]
    low, high = second.get_ylim()
    assert low < 8.0 < 8.5 < high
