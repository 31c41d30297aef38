"""What rliable makes of some scores, written once to `rliable_outputs.json` beside this file.

It runs in an environment of its own, because rliable is no dependency of the project: Python 3.11,
rliable 1.2.0, arch 7.2.0, numpy 2.4.6, scipy 1.17.1, pandas 2.3.3.

rliable draws runs anew for every task, `experiments.aggregates` draws seeds once for all episodes.
With one task the two are the same bootstrap, so intervals are kept of tables with one column.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rliable import library, metrics

FILE = Path(__file__).with_suffix(".json")
REPETITIONS = 50_000
PROFILED = 0.25  # where no bound is a near tie between two shares
THRESHOLDS = [-0.5, 0.0, 0.25, 0.5, 0.7, 0.75, 1.0, 2.0]


def tables() -> dict[str, np.ndarray]:
    """Return scores (runs, tasks): smooth ones, ones with many ties, one run, one task."""
    draw = np.random.default_rng(20211)
    tasks = draw.normal(0.5, 0.3, 13)
    return {
        "five": np.round(tasks + draw.normal(0.1, 0.2, (5, 13)), 9),
        "three": np.round(tasks + draw.normal(0.0, 0.3, (3, 13)), 9),
        "ties": np.round(tasks + draw.normal(0.05, 0.2, (4, 13)), 1),
        "other_ties": np.round(tasks + draw.normal(0.0, 0.2, (6, 13)), 1),
        "one_run": np.round(tasks, 9)[np.newaxis],
        "eight_by_one": np.round(draw.normal(0.6, 0.3, (8, 1)), 9),
        "twelve_by_one": np.round(draw.exponential(0.4, (12, 1)), 9),
    }


def interval(scores: np.ndarray | list[np.ndarray], function) -> list[float]:
    found = library.get_interval_estimates({"": scores}, function, reps=REPETITIONS)[1]
    return found[""].ravel().tolist()


def main() -> None:
    np.random.seed(0)  # noqa: NPY002 - rliable draws from numpy's global generator
    scores = tables()
    column = {name: table for name, table in scores.items() if table.shape[1] == 1}
    several = [name for name in scores if name not in column]
    outputs = {
        "versions": {name: version(name) for name in ("rliable", "arch", "numpy", "scipy")},
        "repetitions": REPETITIONS,
        "thresholds": THRESHOLDS,
        "profiled": PROFILED,
        "scores": {name: table.tolist() for name, table in scores.items()},
        "mean": {name: float(metrics.aggregate_mean(table)) for name, table in scores.items()},
        "iqm": {name: float(metrics.aggregate_iqm(table)) for name, table in scores.items()},
        "profile": {
            name: library.score_distributions(table, THRESHOLDS).tolist()
            for name, table in scores.items()
        },
        "improvement": [
            [x, y, float(metrics.probability_of_improvement(scores[x], scores[y]))]
            for x in several
            for y in several
        ],
        "mean_interval": {
            name: interval(table, lambda x: np.array([metrics.aggregate_mean(x)]))
            for name, table in column.items()
        },
        "iqm_interval": {
            name: interval(table, lambda x: np.array([metrics.aggregate_iqm(x)]))
            for name, table in column.items()
        },
        "profile_interval": {
            name: interval(table, lambda x: np.array([library.run_score_deviation(x, PROFILED)]))
            for name, table in column.items()
        },
        "improvement_interval": interval(
            list(column.values()),
            lambda x, y: np.array([metrics.probability_of_improvement(x, y)]),
        ),
    }
    FILE.write_text(json.dumps(outputs, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
