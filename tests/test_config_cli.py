"""`mmg config`: what it prints where, and its exit codes."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.cli import main
from mmg_env.config_file import config_directory, load_config

Captured = tuple[int, str, str]
Mmg = Callable[..., Captured]


@pytest.fixture
def mmg(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Mmg:
    """Return a function that runs the command line and returns exit code, stdout, stderr."""

    def run(*arguments: str) -> Captured:
        monkeypatch.setattr(sys, "argv", ["mmg", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capfd.readouterr()
        return int(caught.value.code or 0), out, err

    return run


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("s1_3mg", "s1_3mg: OK: s1_3mg, 3 members, community storage, 24 h\n"),
        (
            "community_real",
            "community_real: OK: community_real, 4 members, community storage, 168 h\n",
        ),
    ],
)
def test_check_passes_what_is_shipped(mmg: Mmg, name: str, expected: str) -> None:
    code, out, _ = mmg("config", "check", name)
    assert (code, out) == (0, expected)


def test_check_tells_warnings_and_still_passes(mmg: Mmg) -> None:
    code, _, err = mmg("config", "check", "community_real")
    assert code == 0
    assert err == (
        "community_real: warning: ces.market.export_kw: 1500 is less than the battery's power, "
        "the rentable power and the pool link together, 3900; energy may be spilled\n"
    )


def test_check_names_the_line_and_ends_with_2(mmg: Mmg, tmp_path: Path) -> None:
    text = (config_directory() / "systems" / "s1_3mg.yaml").read_text()
    file = tmp_path / ("long_" * 40 + ".yaml")
    file.write_text(text.replace("dt_h: 1.0", "dt_h: [bold]"))
    code, out, err = mmg("config", "check", str(file))
    assert (code, out) == (2, "")
    assert err == f"{file}:7: dt_h: a list must be a number\n"


def test_an_unknown_name_ends_with_2(mmg: Mmg) -> None:
    code, out, err = mmg("config", "show", "s1_3gm")
    assert (code, out) == (2, "")
    assert err.startswith('no system or suite "s1_3gm"; did you mean "s1_3mg"? Known: ')
    assert err.count("\n") == 1


def test_show_prints_a_systems_file_as_it_was_written(mmg: Mmg) -> None:
    file = config_directory() / "systems" / "s1_3mg.yaml"
    assert mmg("config", "show", str(file)) == (0, file.read_text(), "")


def test_show_of_a_suite_loads_as_the_suite(mmg: Mmg, tmp_path: Path) -> None:
    suite, system = tmp_path / "suite.yaml", tmp_path / "system.yaml"
    suite.write_text("name: mine\nsystem: s1_3mg\noverrides:\n  members[1].link_kw: 5\n")
    code, out, err = mmg("config", "show", str(suite))
    assert (code, err) == (0, "")
    system.write_text(out)
    assert load_config(system) == load_config(suite)
    assert "name: mine\n" in out


def test_schema_is_json_of_a_system(mmg: Mmg) -> None:
    code, out, err = mmg("config", "schema")
    assert (code, err) == (0, "")
    assert {"members", "tariff", "ces"} <= set(json.loads(out)["properties"])


@pytest.mark.parametrize("arguments", [["confg"], ["config", "chek"], ["config", "check"]])
def test_wrong_usage_ends_with_2(mmg: Mmg, arguments: list[str]) -> None:
    code, out, err = mmg(*arguments)
    assert (code, out) == (2, "")
    assert "Error: " in err
    assert "Traceback" not in err
