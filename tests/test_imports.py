"""What may import what, which randomness is allowed, and what no file may name."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("mmg_env", "baselines", "experiments")  # each may import those before it
MODULES = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]
OPTIMISERS = {"highspy", "pyomo"}
LEARNERS = {"h5py", "minari", "sb3_contrib", "stable_baselines3", "torch"}

NUMPY_RANDOM = {"np.random", "numpy.random"}
# Names in it that hold no global state; all others do.
STATELESS = {"BitGenerator", "Generator", "PCG64", "Philox", "SeedSequence", "default_rng"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.AST, module: Path) -> Iterator[str]:
    """Yield the full dotted name of everything that a module imports."""
    package = module.relative_to(ROOT).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*start, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def numpy_random_names(tree: ast.AST) -> Iterator[str]:
    """Yield each x that is used as np.random.x or numpy.random.x."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in NUMPY_RANDOM:
            yield node.attr


def random_faults(tree: ast.AST, module: Path) -> set[str]:
    """Return the uses of a random generator that the whole process shares."""
    names = set(imported(tree, module))
    faults = {name for name in names if name.split(".")[0] == "random"}
    drawn = set(numpy_random_names(tree))
    drawn |= {name.split(".")[2] for name in names if name.startswith("numpy.random.")}
    return faults | {f"numpy.random.{name}" for name in drawn - STATELESS}


def loaded(statement: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter holds after a statement."""
    script = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_there_are_modules() -> None:
    assert {relative(path).split("/")[0] for path in MODULES} == set(LAYERS)


@pytest.mark.parametrize("module", MODULES, ids=relative)
def test_imports_point_one_way(module: Path) -> None:
    layer = LAYERS.index(module.relative_to(ROOT).parts[0])
    forbidden = set(LAYERS[layer + 1 :])
    if layer == 0:
        forbidden |= OPTIMISERS | LEARNERS
    names = imported(ast.parse(module.read_text(encoding="utf-8")), module)
    assert not {name for name in names if name.split(".")[0] in forbidden}


@pytest.mark.parametrize("module", MODULES, ids=relative)
def test_no_global_randomness(module: Path) -> None:
    assert not random_faults(ast.parse(module.read_text(encoding="utf-8")), module)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("np.random.seed(0)", "numpy.random.seed"),
        ("import numpy\nnumpy.random.mtrand.rand()", "numpy.random.mtrand"),
        ("from numpy.random import normal", "numpy.random.normal"),
        ("import random", "random"),
        ("from random import choice", "random.choice"),
    ],
)
def test_global_randomness_is_seen(source: str, fault: str) -> None:
    assert random_faults(ast.parse(source), ROOT / "mmg_env" / "x.py") == {fault}


@pytest.mark.parametrize(
    "source",
    [
        "value = np.random.default_rng(3).random()",
        "def f(rng: np.random.Generator) -> float: return rng.random()",
        "from numpy.random import Generator, Philox",
        "from .random import stream",
        "from mmg_env.sources import random",
    ],
)
def test_explicit_randomness_is_allowed(source: str) -> None:
    assert not random_faults(ast.parse(source), ROOT / "mmg_env" / "sources" / "x.py")


# The command is in the list because the benchmark runs where no learner is installed.
@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("mmg_env", OPTIMISERS | LEARNERS),
        ("baselines", LEARNERS),
        ("experiments.cli", LEARNERS),
    ],
)
def test_import_loads_nothing_heavy(module: str, absent: set[str]) -> None:
    packages = loaded(f"import {module}")
    assert module.split(".")[0] in packages
    assert not packages & absent


def project_files() -> list[Path]:
    """Return the files that git tracks or would track."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    # The folder's owner may differ from the user, as in a container.
    command = [git, "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    listing = subprocess.run(
        [*command, "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = {ROOT / name for name in listing.stdout.split("\0") if name}
    return sorted(path for path in paths if path.is_file())


def test_no_file_names_a_package_registry() -> None:
    # In pieces, so that this file does not hold what it looks for.
    hosts = [
        ".".join(pieces).encode()
        for pieces in (
            ("pypi", "org"),
            ("pypi", "python", "org"),
            ("python" + "hosted", "org"),
            ("download", "pytorch", "org"),
            ("ana" + "conda", "org"),
            ("registry", "npmjs", "org"),
        )
    ]
    named = {}
    for path in project_files():
        text = path.read_bytes()
        if b"\0" in text:
            continue  # binary, such as the Parquet series
        found = [host.decode() for host in hosts if host in text]
        if found:
            named[relative(path)] = found
    assert not named
