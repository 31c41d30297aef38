"""The command `mmg freeze`: numbers of every shipped suite, kept so that none moves unannounced.

Kept are the environment's id with its version, a hash of some episodes of every split, and what
policies and the oracle make of the first test episodes. A number that moves while the version
stays is refused.

Numbers are hashed as multiples of about a millionth of the largest in their column, because
exponentials and logarithms differ between machines in their last digits.

Source: our choice.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
import yaml
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from baselines import missing_for
from experiments.engine import foresee, live_through
from experiments.records import ORACLE, Cell, write_atomically
from mmg_env import environment_id
from mmg_env.config_devices import Label, Model
from mmg_env.config_file import suite_names
from mmg_env.config_yaml import read_yaml
from mmg_env.episode import Episode
from mmg_env.errors import InputError
from mmg_env.splits import sample_episode, split_size
from mmg_env.system import System, load_system

Array = NDArray[np.float64]

FILE: Final = Path(__file__).resolve().parent.parent / "tests" / "frozen.yaml"
SPLITS: Final = ("train", "val", "test", "shift")
FIRST: Final = 4  # episodes of `train`; of the other splits one less, and the last
DIGITS: Final = 6
_OFFSET: Final = 0.31830988  # so that round numbers are not where the rounding turns
RULES: Final = ("idle", "self_consumption", "time_of_use", "tuned_rule")
PLANNERS: Final = ("mpc", "mpc_climatology")
RULE_EPISODES: Final = 2
SMALL: Final = 12  # members up to which optimisers play too: a test has no minutes
SAME: Final = 1e-6  # relative
SAME_BOUND: Final = 3e-4  # the search for the bound stops at a gap of 1e-4
SAME_PLAN: Final = 0.01  # equally good plans lead to different weeks
_ADVICE: Final = (
    "raise the suite's version in _VERSIONS of mmg_env/__init__.py, announce the new id in "
    'CHANGELOG.md with the words "results change", and run mmg freeze'
)


class FrozenSplit(Model):
    """Some episodes of a split, and the hash of their numbers."""

    episodes: tuple[int, ...] = Field(description="Their numbers.")
    sha256: Label = Field(description="Hash of their rounded numbers.")


class FrozenSuite(Model):
    """What is kept of a suite."""

    id: Label = Field(description="Id of its environment, with the version.")
    splits: dict[str, FrozenSplit] = Field(description="Episodes by split.")
    costs: dict[str, tuple[float, ...]] = Field(description="Cost of test episodes, by policy.")


def freeze(
    check: Annotated[bool, typer.Option(help="Write nothing; print hashes, compare.")] = False,
    force: Annotated[
        bool, typer.Option(help="Also keep numbers that moved under the same version.")
    ] = False,
    suite: Annotated[list[str] | None, typer.Option(help="Only these suites.")] = None,
    file: Annotated[Path, typer.Option(help="Where the numbers are kept.")] = FILE,
) -> None:
    """Keep the numbers of the shipped suites, or compare with those that are kept."""
    if not file.parent.is_dir():
        raise InputError(f"{file.parent}: there is no such folder; use a checkout, or --file")
    kept = read_frozen(file)
    present: dict[str, FrozenSuite] = {}
    for name in chosen_suites(suite):
        present[name] = measure(name)
        if check:
            for line in _hash_lines(name, present[name]):
                typer.echo(line)
    sentences = [
        sentence
        for name, found in present.items()
        for sentence in faults(name, kept.get(name), found, new_is_fine=not check)
    ]
    for sentence in sentences:
        typer.echo(sentence, err=True)
    if sentences and not force:
        raise typer.Exit(1)
    if not check:
        shipped = {name: kept[name] for name in suite_names() if name in kept}
        write_frozen(file, shipped | present)
        typer.echo(f"written: {file}")


def chosen_suites(names: list[str] | None) -> list[str]:
    """Return the suites that were asked for, all shipped ones unless told.

    Raises:
        InputError: one of them is not shipped.
    """
    known = suite_names()
    for name in names or ():
        if name not in known:
            raise InputError(f'no shipped suite "{name}"; known: {", ".join(known)}')
    return list(names or known)


def read_frozen(file: Path) -> dict[str, FrozenSuite]:
    """Return what is kept, by suite; nothing where there is no file.

    Raises:
        InputError: the file says something else.
    """
    if not file.exists():
        return {}
    try:
        return {
            name: FrozenSuite.model_validate(entry) for name, entry in read_yaml(file).data.items()
        }
    except ValidationError as error:
        raise InputError(f"{file}: not written by mmg freeze: {error}") from None


def write_frozen(file: Path, suites: Mapping[str, FrozenSuite]) -> None:
    """Write what is kept, suites in alphabetical order."""
    data = {name: suites[name].model_dump(mode="json") for name in sorted(suites)}
    text = "# Written by `mmg freeze`; never by hand.\n"
    text += yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=100)
    write_atomically(file, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def measure(suite: str) -> FrozenSuite:
    """Return the numbers of a suite as they are now."""
    system = load_system(suite)
    return FrozenSuite(
        id=environment_id(suite),
        splits={split: measure_split(system, split) for split in SPLITS},
        costs=measure_costs(system),
    )


def measure_split(system: System, split: str) -> FrozenSplit:
    """Return the hash of the first few episodes of a split, and of its last if it has one."""
    size = split_size(system, split)
    chosen = range(FIRST) if size is None else sorted({*range(min(FIRST - 1, size)), size - 1})
    episodes = [sample_episode(system, split, index) for index in chosen]
    return FrozenSplit(episodes=tuple(chosen), sha256=hash_of(episodes))


def hash_of(episodes: list[Episode]) -> str:
    """Return the sha256 of all that makes up some episodes, forecasts included."""
    digest = hashlib.sha256()
    for episode in episodes:
        digest.update(f"{episode.label} {episode.start}".encode())
        model = episode.model
        arrays = (episode.values, episode.center, episode.scale, episode.errors)
        for array in (*arrays, model.phi[:, None], model.innovations):
            digest.update(repr(array.shape).encode())
            digest.update(rounded(array).tobytes())
    return digest.hexdigest()


def rounded(array: Array) -> NDArray[np.int64]:
    """Return (rows, columns) numbers as multiples of a power of ten, little-endian.

    It is 10 ** -DIGITS of the leading digit of the largest number in the column.
    """
    peaks = np.abs(array).max(axis=0)
    exponents = np.array([int(f"{peak:e}".partition("e")[2]) for peak in peaks])
    return np.floor(array / 10.0 ** (exponents - DIGITS) + _OFFSET).astype("<i8")


def measure_costs(system: System) -> dict[str, tuple[float, ...]]:
    """Return what policies make of the first test episodes; of the oracle, its bound."""
    costs = {}
    for policy in _policies(system):
        count = RULE_EPISODES if policy in RULES else 1
        cells = [Cell(system.name, "test", episode, policy) for episode in range(count)]
        costs[policy] = tuple(float(f"{_cost(system, cell):.10g}") for cell in cells)
    return costs


def _cost(system: System, cell: Cell) -> float:
    if cell.policy == ORACLE:
        return float(foresee(system, cell)[1]["cost"])
    return live_through(system, cell).cost


def _policies(system: System) -> Iterator[str]:
    for name in RULES:
        if not missing_for(name, system):
            yield name
    if len(system.members) <= SMALL:
        yield from (*PLANNERS, ORACLE)


def faults(
    name: str, kept: FrozenSuite | None, present: FrozenSuite, new_is_fine: bool = False
) -> list[str]:
    """Return what is wrong with a suite's numbers, in sentences.

    Args:
        name: the suite.
        kept: what is kept of it.
        present: its numbers now.
        new_is_fine: whether a suite, version or policy of which nothing is kept is in order.
    """
    if kept is None or kept.id != present.id:
        known = "nothing" if kept is None else kept.id
        new = f"{known} is kept, and {present.id} is in force"
    else:
        what = ", ".join(moved(kept, present))
        if what:
            return [f"{name}: numbers moved under {present.id}: {what}; {_ADVICE}"]
        policies = ", ".join(sorted(present.costs.keys() - kept.costs.keys()))
        new = f"nothing is kept of {policies}" if policies else ""
    return [f"{name}: {new}; run mmg freeze"] if new and not new_is_fine else []


def moved(kept: FrozenSuite, present: FrozenSuite) -> Iterator[str]:
    """Yield what is kept and differs: splits by hash, costs beyond their tolerance."""
    for split in SPLITS:
        if kept.splits.get(split) != present.splits.get(split):
            yield f"episodes of {split}"
    for policy, old in sorted(kept.costs.items()):
        new = present.costs.get(policy, ())
        if len(old) != len(new) or not np.allclose(new, old, rtol=_tolerance(policy), atol=0.0):
            yield f"cost of {policy} ({_listed(old)}, now {_listed(new)})"


def _tolerance(policy: str) -> float:
    if policy == ORACLE:
        return SAME_BOUND
    return SAME_PLAN if policy in PLANNERS else SAME


def _listed(costs: tuple[float, ...]) -> str:
    return " ".join(f"{cost:.10g}" for cost in costs) or "none"


def _hash_lines(name: str, found: FrozenSuite) -> Iterator[str]:
    for split, frozen in found.splits.items():
        numbers = ",".join(map(str, frozen.episodes))
        yield f"{found.id} {name} {split} {numbers} {frozen.sha256}"
