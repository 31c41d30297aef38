"""The command `mmg doctor`: does everything that the project stands on work here?"""

import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import typer

from experiments.records import package_version
from mmg_env.config_file import config_directory, suite_names, system_names

_PACKAGES: Final = (
    "gymnasium",
    "highspy",
    "joblib",
    "matplotlib",
    "numba",
    "numpy",
    "pyarrow",
    "pydantic",
    "pyomo",
    "rainflow",
    "rich",
    "scipy",
    "typer",
)
_OPTIONAL: Final = ("torch", "stable-baselines3", "sb3-contrib", "pettingzoo", "ray")


class CheckError(Exception):
    """A check that failed; the text says what was found."""


def doctor() -> None:
    """Check versions, solver, compiler, data, configurations and permissions."""
    failed = [name for name, check in CHECKS.items() if not report(name, check)]
    if failed:
        typer.echo(f"failed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)
    typer.echo("all is well")


def report(name: str, check: Callable[[], str]) -> bool:
    """Run one check, print its line, and say whether it passed."""
    try:
        finding = check()
    except Exception as error:  # noqa: BLE001 - a doctor survives what it finds
        kind = "" if isinstance(error, CheckError) else f"{type(error).__name__}: "
        typer.echo(f"FAILED  {name}: {kind}{error}")
        return False
    typer.echo(f"ok      {name}: {finding}")
    return True


def check_versions() -> str:
    """List the versions; a core package that is missing is a fault."""
    versions = {name: package_version(name) for name in _PACKAGES}
    missing = [name for name, found in versions.items() if found == "not installed"]
    if missing:
        raise CheckError(f"not installed: {', '.join(missing)}; install mmg-env again")
    extra = {name: package_version(name) for name in _OPTIONAL}
    found = {"Python": platform.python_version(), "mmg-env": package_version("mmg-env")}
    return ", ".join(f"{name} {text}" for name, text in (found | versions | extra).items())


def check_solver() -> str:
    """Solve max x + y with x + 2y <= 4 and 3x + y <= 6, whose optimum is 2.8."""
    import highspy

    solver: Any = highspy.Highs  # its stubs leave the constructor untyped
    model = solver()
    model.silent()
    x, y = model.addVariable(lb=0.0), model.addVariable(lb=0.0)
    model.addConstr(x + 2.0 * y <= 4.0)
    model.addConstr(3.0 * x + y <= 6.0)
    model.maximize(x + y)
    status = model.modelStatusToString(model.getModelStatus())
    value = float(model.getInfo().objective_function_value)
    if status != "Optimal" or abs(value - 2.8) > 1e-9:
        raise CheckError(f"HiGHS {model.version()} says {status}, {value:g}; optimal, 2.8 is right")
    return f"HiGHS {model.version()} solves a small problem"


def check_compiler() -> str:
    """Compile a function, and run one day of a community through the kernel."""
    import numba

    from mmg_env.splits import nominal_episode
    from mmg_env.system import load_system
    from mmg_env.trajectory import simulate

    triple = numba.njit(lambda x: 3.0 * x)
    if triple(2.0) != 6.0:
        raise CheckError(f"numba {numba.__version__} says that 3 * 2 is {triple(2.0)}")
    system = load_system("s1_3mg")
    episode = nominal_episode(system)
    trajectory = simulate(system, episode, np.zeros((episode.steps, system.request_size)))
    if not np.isfinite(trajectory.cost):
        raise CheckError(f"the cost of a day is {trajectory.cost}")
    mode = "compiles" if hasattr(triple, "py_func") else "is switched off (NUMBA_DISABLE_JIT)"
    return f"numba {numba.__version__} {mode}; a day of s1_3mg runs"


def check_data() -> str:
    """Compare the embedded series with their hashes and their reference values."""
    from mmg_env import data

    for name in data.NAMES:
        data.check(name, data.load(name))
    return f"{', '.join(data.NAMES)} match their sha256 and reference values"


def check_configs() -> str:
    """Load every shipped system, suite and benchmark."""
    from experiments.bench import read_benchmark
    from mmg_env.system import load_system

    names = sorted({*suite_names(), *system_names()})
    for name in names:
        load_system(name)
    benchmarks = sorted(f.stem for f in (config_directory() / "benchmarks").glob("*.yaml"))
    for name in benchmarks:
        read_benchmark(name)
    return f"{', '.join(names)}; benchmarks {', '.join(benchmarks)}"


def check_permission() -> str:
    """Write, rename and remove a file here, where results go by default."""
    here = Path.cwd()
    try:
        with tempfile.TemporaryDirectory(dir=here, prefix=".mmg-doctor-") as folder:
            first, second = Path(folder) / "a", Path(folder) / "b"
            first.write_text("x", encoding="utf-8")
            first.replace(second)
    except OSError as error:
        raise CheckError(f"{here} cannot be written: {error.strerror}") from None
    return f"{here} can be written"


CHECKS: Final[dict[str, Callable[[], str]]] = {
    "versions": check_versions,
    "solver": check_solver,
    "compiler": check_compiler,
    "data": check_data,
    "configurations": check_configs,
    "permission": check_permission,
}
