"""The picture of `mmg realism`: drawn days and measured ones, side by side.

Source: our choice.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from experiments.realism import HELD_OUT, WEEKS, community, drawn_prices
from mmg_env.layout import X
from mmg_env.series import Series
from mmg_env.sources.statistics import daily_means, real_year
from mmg_env.splits import sample_episode

Array = NDArray[np.float64]

REAL: Final = "#222222"
DRAWN: Final = "#d95f02"
OTHER: Final = ("#1b9e77", "#7570b3")
LAGS: Final = 168


def draw(file: Path) -> None:
    """Write the picture."""
    real = real_year(HELD_OUT)
    drawn = drawn_prices()
    figure, axes = plt.subplots(2, 3, figsize=(12, 7), layout="constrained")
    panels = ((_duration, _autocorrelation, _mean_day), (_spread, _forecast, _scatter))
    for row, line in zip(panels, axes, strict=True):
        for panel, axis in zip(row, line, strict=True):
            panel(axis, real, drawn)
            axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle("Days drawn from 2023 beside the year 2024, which they have never seen")
    figure.savefig(file, format="png", dpi=110)
    plt.close(figure)


def _relative(prices: Array) -> Array:
    return np.asarray(prices / prices.mean())


def _duration(axis: Any, real: Array, drawn: Array) -> None:
    share = np.linspace(0.0, 1.0, 400)
    for prices, colour, name in ((real, REAL, f"{HELD_OUT}"), (drawn, DRAWN, "drawn")):
        curve = np.quantile(_relative(prices), 1.0 - share)
        axis.plot(100.0 * share, np.clip(curve, -2.0, 5.0), color=colour, label=name)
    axis.set(title="Price duration", xlabel="% of hours", ylabel="price / mean (cut at -2 and 5)")
    axis.legend(frameon=False)


def _autocorrelation(axis: Any, real: Array, drawn: Array) -> None:
    for prices, colour, name in ((real, REAL, f"{HELD_OUT}"), (drawn, DRAWN, "drawn")):
        deviation = prices - prices.mean()
        level = (deviation**2).mean()
        lags = np.arange(1, LAGS + 1)
        values = [(deviation[:, n:] * deviation[:, :-n]).mean() / level for n in lags]
        axis.plot(lags, values, color=colour, label=name)
    axis.set(title="Autocorrelation of the price", xlabel="lag, h", ylabel="correlation")
    axis.set_xticks(range(0, LAGS + 1, 24))


def _mean_day(axis: Any, real: Array, drawn: Array) -> None:
    for prices, colour, name in ((real, REAL, f"{HELD_OUT}"), (drawn, DRAWN, "drawn")):
        axis.plot(_relative(prices).reshape(-1, 24).mean(axis=0), color=colour, label=name)
    axis.set(title="Mean day", xlabel="hour of the day", ylabel="price / mean", ylim=(0.0, None))
    axis.set_xticks(range(0, 25, 6))


def _spread(axis: Any, real: Array, drawn: Array) -> None:
    edges = np.linspace(0.0, 4.0, 33)
    for prices, colour, name in ((real, REAL, f"{HELD_OUT}"), (drawn, DRAWN, "drawn")):
        days = _relative(prices).reshape(-1, 24)
        spread = np.minimum(days.max(axis=1) - days.min(axis=1), 4.0)
        weights = np.full(len(spread), 100.0 / len(spread))
        axis.hist(spread, edges, weights=weights, histtype="step", color=colour, label=name)
    axis.set(title="Daily spread", xlabel="(highest - lowest) / mean, up to 4", ylabel="% of days")


def _spot(series: Series) -> Array:
    return series.shared(X.spot)


def _forecast(axis: Any, _real: Array, _drawn: Array) -> None:
    system = community()
    kinds: dict[str, tuple[Callable[[Series], Array], str]] = {
        "load": (lambda series: series.load_kw.sum(axis=1), OTHER[0]),
        "wind": (lambda series: series.wind_kw.sum(axis=1), OTHER[1]),
        "price": (_spot, DRAWN),
    }
    sizes: dict[str, list[Array]] = {name: [] for name in kinds}
    for index in range(WEEKS):
        episode = sample_episode(system, "test", index)
        for first in range(0, episode.steps - 48, 24):
            forecast = episode.forecast(first)
            span = slice(first, first + 48)
            for name, (series, _) in kinds.items():
                told, truth = series(forecast)[:48], series(episode)[span]
                sizes[name].append(np.vstack([np.abs(told - truth), truth]))
    for name, (_, colour) in kinds.items():
        errors, level = np.mean(sizes[name], axis=0)
        axis.plot(np.arange(48), 100.0 * errors / level.mean(), color=colour, label=name)
    axis.set(title="Forecast error", xlabel="hours ahead, from midnight", ylabel="% of the mean")
    axis.set_xticks(range(0, 49, 12))
    axis.legend(frameon=False)


def _scatter(axis: Any, _real: Array, _drawn: Array) -> None:
    system = community()
    price, green = [], []
    for index in range(WEEKS):
        episode = sample_episode(system, "test", index)
        both = np.array(
            [episode.values[:, 4 * len(system.members) + 4], episode.wind_kw.sum(axis=1)]
        )
        both[1] += episode.pv_kw.sum(axis=1)
        means = daily_means(both, system)
        price.append(means[0] / means[0].mean())
        green.append(means[1])
    relative = np.clip(np.concatenate(price), -1.0, 4.0)
    axis.scatter(np.concatenate(green), relative, s=5, alpha=0.4, color=DRAWN)
    axis.set(title="Price and renewables", xlabel="wind and PV, mean of a day, kW")
    axis.set_ylabel("price / mean of the week")
