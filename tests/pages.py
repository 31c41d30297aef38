"""Pages about papers as tests make them: the command is run on what has been found already."""

import csv
import re
from html import unescape

import pytest
from typer.testing import CliRunner

from experiments.cli import app


def left_by(command, module, found, out):
    """Run `mmg reproduce COMMAND --quick` with its findings given; return what it printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "gather", lambda *_: found)
        result = CliRunner().invoke(app, ["reproduce", command, "--quick", "--out", str(out)])
    assert result.exit_code == 0, result.output
    return result.output


def read(folder, name):
    """Return the rows of a table by its heads."""
    with (folder / f"{name}.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def check_files(folder, tables):
    """Check that a folder holds a page and every table, each under a name of its own."""
    names = {table.file for table in tables}
    assert len(names) == len(tables)
    assert {path.stem for path in folder.glob("*.csv")} == names
    assert (folder / "report.html").is_file()
    assert not list(folder.glob("*.tmp*"))


def page_in(folder):
    """Return the text of a page that loads nothing from elsewhere."""
    html = unescape((folder / "report.html").read_text(encoding="utf-8"))
    assert not re.search(r'(?:src|href)="(?!#)', html)
    assert not re.search(r"@import|url\((?!#)", html)
    return html
