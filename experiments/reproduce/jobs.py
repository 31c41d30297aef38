"""Things to compute for a page, in parallel.

Jobs know nothing of one another, so their number at a time changes no result but times, and what
ends by time.

Source: our choice.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import joblib
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Key = tuple[Any, ...]


class Job(NamedTuple):
    """Something to compute: what it is for, and how."""

    key: Key
    work: Callable[..., Any]
    arguments: tuple[Any, ...]


def run(work: Sequence[Job], workers: int) -> dict[Key, Any]:
    """Run jobs in parallel and show how far they are; return what each found, by key."""
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )
    found: dict[Key, Any] = {}
    with progress, joblib.parallel_config(backend="loky", n_jobs=workers, inner_max_num_threads=1):
        bar = progress.add_task("jobs", total=len(work))
        pool = joblib.Parallel(return_as="generator_unordered", batch_size=1)
        for key, result in pool(joblib.delayed(_done)(job) for job in work):
            found[key] = result
            progress.update(bar, advance=1, description=str(key[0]))
    return found


def _done(job: Job) -> tuple[Key, Any]:
    return job.key, job.work(*job.arguments)
