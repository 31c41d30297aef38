"""The wheel on its own: built, installed, and run in another folder without network."""

import math
import os
import site
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("mmg_env", "baselines", "experiments")

NO_NETWORK = """
import socket


def refuse(*args, **kwargs):
    raise OSError("no network in this test")


class NoSocket(socket.socket):  # a class still, because ssl derives from it
    __init__ = refuse


socket.socket = NoSocket
socket.getaddrinfo = refuse
"""

SOLVE = """
import socket
import sys

try:
    socket.create_connection(("127.0.0.1", 9))
except OSError as error:
    assert "no network in this test" in str(error), error
else:
    raise AssertionError("the network is open")

import baselines
import mmg_env
from baselines import perfect_foresight
from mmg_env import load_system, nominal_episode

system = load_system("s1_3mg")
print(mmg_env.__file__)
print(baselines.__file__)
print(perfect_foresight(system, nominal_episode(system)).objective)
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command with nothing inherited that would point Python at the checkout."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the present checkout, built with the hatchling that is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    run(*command, "--wheel-dir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment that holds the wheel, sees our dependencies, and has no network."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    variables = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=variables))
    scripts = Path(sysconfig.get_path("scripts", "venv", vars=variables))
    # A .pth file adds its folders last, so the wheel wins, and the .pth files within them stay
    # unread, so an editable install of the checkout is not seen.
    ours = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
    (packages / "dependencies.pth").write_text("\n".join(dict.fromkeys(ours)), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--python", scripts / "python", "install", "-q"]
    run(*command, "--no-deps", "--no-index", "--force-reinstall", wheel, cwd=folder)
    (packages / "no_network.py").write_text(NO_NETWORK, encoding="utf-8")
    (packages / "no_network.pth").write_text("import no_network", encoding="utf-8")
    return scripts


def test_wheel_holds_code_configs_and_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = set()
    for package in PACKAGES:
        expected.add(f"{package}/py.typed")
        expected |= {path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob("*.py")}
    for pattern in ("*.parquet", "*.json", "*.md"):
        data = (ROOT / "mmg_env" / "data").rglob(pattern)
        expected |= {path.relative_to(ROOT).as_posix() for path in data}
    for pattern in ("*.json", "*.npz"):
        agents = (ROOT / "baselines" / "agents").rglob(pattern)
        expected |= {path.relative_to(ROOT).as_posix() for path in agents}
    assert "baselines/agents/community_real-forecast/weights.npz" in expected
    for path in (ROOT / "configs").rglob("*.yaml"):
        expected.add(f"mmg_env/{path.relative_to(ROOT).as_posix()}")
    assert expected - names == set()
    assert "mmg_env/configs/systems/s1_3mg.yaml" in names


def test_wheel_holds_nothing_else(wheel: Path) -> None:
    paths = [PurePosixPath(name) for name in zipfile.ZipFile(wheel).namelist()]
    roots = {path.parts[0] for path in paths if not path.parts[0].endswith(".dist-info")}
    assert roots == set(PACKAGES)
    assert not [path for path in paths if "__pycache__" in path.parts]


def test_installed_wheel_solves_without_network(installed: Path, tmp_path: Path) -> None:
    script = tmp_path / "solve.py"
    script.write_text(SOLVE, encoding="utf-8")
    *files, objective = run(installed / "python", script, cwd=tmp_path).splitlines()
    home = installed.parent.resolve()
    assert len(files) == 2
    assert all(Path(file).resolve().is_relative_to(home) for file in files), files
    assert math.isfinite(float(objective))


def test_installed_command_shows_a_config(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "mmg", "config", "show", "s1_3mg", cwd=tmp_path).strip()


def test_constraints_pin_every_requirement() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert not [name for name in pins if name.startswith(("nvidia", "cuda", "triton"))]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {line.split(">=")[0].split("[")[0].lower() for group in groups for line in group}
    assert names - set(pins) == set()
