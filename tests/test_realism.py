"""Realism: every statistic in its band, and bands that are not wide enough for anything."""

import numpy as np
import pytest
from test_docs import ROOT

from experiments import realism
from experiments.realism import (
    Row,
    coupling_rows,
    forecast_rows,
    markdown_table,
    price_rows,
    site_rows,
    study,
)
from mmg_env.sources.statistics import error_statistics, price_statistics, real_year
from mmg_env.system import load_system


@pytest.fixture(scope="module")
def rows():
    return study()


def test_every_statistic_is_in_its_band(rows):
    assert len(rows) >= 12
    assert [row.name for row in rows if not row.in_band] == []


def test_the_page_shows_the_table_as_it_is_computed(rows):
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert markdown_table(rows) in page


@pytest.mark.parametrize(
    ("damage", "caught"),
    [
        (lambda prices: 1.1 * prices, "mean, of that of the days drawn from"),
        (lambda prices: prices.clip(0.0), "share of negative hours"),
        (lambda prices: np.roll(prices, 7, axis=1) * 0.5 + prices * 0.5, "daily spread"),
        (lambda prices: np.sort(prices, axis=1), "daily spread"),
        (lambda prices: prices.mean() + 2.2 * (prices - prices.mean()), "standard deviation"),
        (lambda prices: np.random.default_rng(0).permuted(prices, axis=1), "autocorrelation, 1 h"),
    ],
)
def test_damaged_prices_leave_a_band(monkeypatch, damage, caught):
    drawn = realism.drawn_prices()
    monkeypatch.setattr(realism, "drawn_prices", lambda: damage(drawn))
    out = [row.name for row in price_rows() if not row.in_band]
    assert any(name.startswith(caught) for name in out), out


def test_uncoupled_days_leave_a_band(monkeypatch):
    names = (*realism.COUPLINGS, *realism.SITES)
    monkeypatch.setattr(realism, "couplings", lambda: dict.fromkeys(names, 0.0))
    assert not any(row.in_band for row in (*coupling_rows(), *site_rows()))


def test_forecasts_that_know_nothing_leave_a_band(monkeypatch):
    ignorant = load_system(realism.SUITE, {"source.forecast": "none"})
    monkeypatch.setattr(realism, "community", lambda: ignorant)
    assert not all(row.in_band for row in forecast_rows())


def test_a_band_without_an_upper_end_is_written_so():
    assert realism.band(Row("a", "b", 2.0, "-", 1.0, realism.UNBOUNDED)) == "at least 1"
    assert Row("a", "b", 2.0, "-", 1.0, realism.UNBOUNDED).in_band


def test_statistics_of_prices_by_hand():
    day = np.array([1.0] * 12 + [3.0] * 12)
    found = price_statistics(np.tile(day, 3)[None])
    assert found["mean"] == 2.0
    assert found["sd"] == 0.5
    assert found["daily_spread"] == 1.0
    assert found["daily_spread_sd"] == 0.0
    assert found["negative_share"] == 0.0
    assert found["autocorrelation_24"] == pytest.approx(1.0)


def test_statistics_of_errors_by_hand():
    errors = np.ones((4, 24))
    errors[:, 6:20] = 2.0
    errors[::2] *= -1.0
    found = error_statistics(errors)
    assert found["day_to_night"] == pytest.approx(2.0)
    assert found["autocorrelation_1"] > 0.9


def test_a_real_year_is_whole():
    assert real_year(2024).shape == (1, 366 * 24)
