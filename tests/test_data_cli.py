"""The commands `mmg data`: what they print, what they refuse, and what they write."""

from pathlib import Path

import numpy as np
import pytest
from own_series import house, series, write

from experiments.cli import main
from mmg_env.data import NAMES, table_facts
from mmg_env.sources.recorded import recording
from mmg_env.splits import sample_episode
from mmg_env.system import load_system


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Return the exit code of `mmg data`."""
    monkeypatch.setattr("sys.argv", ["mmg", "data", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(str(end.value.code or 0))


def test_describe_tells_all_tables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "describe") == 0
    said = capsys.readouterr().out
    for name in NAMES:
        assert table_facts(name)["sha256"] in said
    for word in ("UTC", "ENTSO-E", "CC BY 4.0", "EUR/kWh", "2015-01-01T00:00", "-0.5", "0.87296"):
        assert word in said


def test_describe_tells_one_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "describe", "sites") == 0
    said = capsys.readouterr().out
    assert said.startswith("sites: 8760 rows")
    assert "prices_nl" not in said


def test_describe_tells_columns_as_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    house(tmp_path)
    assert run(monkeypatch, "describe", str(tmp_path / "house.yaml")) == 0
    said = capsys.readouterr().out
    assert "2024-01-01 to 2024-01-12, whole days in standard time of UTC" in said
    assert "EUR/kWh, from price in per_MWh" in said
    assert "kW, from load in kW" in said


@pytest.mark.parametrize("name", ["prices", "community_real"])
def test_describe_refuses_what_is_neither(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "describe", name) == 2
    assert "neither a YAML file nor an embedded table" in capsys.readouterr().err


def test_check_passes_what_is_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    house(tmp_path)
    assert run(monkeypatch, "check", str(tmp_path / "house.yaml")) == 0
    assert "OK: 12 days, 2024-01-01 to 2024-01-12" in capsys.readouterr().out


def test_check_names_all_faults_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    house(tmp_path)
    rows = series()
    rows[10][1], rows[20][2], rows[30][3] = "x", "", "nan"
    write(tmp_path, rows)
    assert run(monkeypatch, "check", str(tmp_path / "house.yaml")) == 2
    said = capsys.readouterr().err
    assert [line.split(", ")[1][:6] for line in said.splitlines()] == ["row 11", "row 21", "row 31"]
    assert "Traceback" not in said


def test_check_is_for_own_series(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "check", "community_real") == 2
    assert "its source is `analogue`; it must be `csv`" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["community_real", "tiny", "s1_3mg", "s2_crh"])
def test_a_template_is_sound_and_can_be_played(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, "template", name, "--out", str(tmp_path)) == 0
    file = tmp_path / f"{name}_own.yaml"
    assert run(monkeypatch, "check", str(file)) == 0
    system, base = load_system(file), load_system(name)
    assert system.participants == base.participants
    for split in ("train", "val", "test", "shift"):
        sample_episode(system, split, 1)
    first = sample_episode(base, "train", 0)
    powers = slice(0, 4 * len(base.members))
    day = recording(system).days[0, :, powers]
    assert np.allclose(day, first.values[: base.steps_per_day, powers], atol=1e-6)


def test_a_template_can_be_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "template", "tiny", "--out", str(tmp_path)) == 0
    file, out = tmp_path / "tiny_own.yaml", tmp_path / "played"
    words = ["mmg", "simulate", "--suite", str(file), "--policy", "idle", "--out", str(out)]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert out.with_suffix(".csv").exists()


def test_a_template_overwrites_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny_own.yaml").write_text("mine", encoding="utf-8")
    assert run(monkeypatch, "template", "tiny", "--out", str(tmp_path)) == 2
    assert "is there already" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["tiny_own.yaml"]
