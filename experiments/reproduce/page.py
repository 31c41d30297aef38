"""A page that shows what a paper reports, on an instance of ours: one file, nothing loaded.

Source: our choice.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple

from experiments import report
from experiments.report.facts import Facts
from experiments.reproduce.tables import Table, as_html

HERE = Path(__file__).parent


class Part(NamedTuple):
    """A part of a page.

    Attributes:
        title: heading.
        text: a paragraph, as HTML.
        content: charts and tables, as HTML.
    """

    title: str
    text: str
    content: Sequence[str] = ()


class Page(NamedTuple):
    """A page.

    Attributes:
        title: of the page.
        subtitle: what was computed.
        summary: the result in a sentence.
        notices: what a reader must know before reading on.
        parts: in order.
        run: what was run, and with what.
    """

    title: str
    subtitle: str
    summary: str
    notices: Sequence[str]
    parts: Sequence[Part]
    run: Facts


def rendered(page: Page) -> str:
    """Return a page as HTML."""
    css = Path(report.__file__).parent / "page.css"
    styles = [file.read_text(encoding="utf-8") for file in (css, HERE / "page.css")]
    return Template((HERE / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(page.title),
        subtitle=escape(page.subtitle),
        summary=escape(page.summary),
        notice="\n".join(f'<p class="notice">{escape(text)}</p>' for text in page.notices),
        style="\n".join(styles),
        body="\n".join(_part(part) for part in page.parts),
        run=_definitions(page.run),
    )


def folded(table: Table) -> str:
    """Return a table that is shown on demand."""
    return f"<details><summary>{escape(table.title)}</summary>{as_html(table)}</details>"


def headed(table: Table) -> str:
    """Return a table below its title."""
    return f"<h3>{escape(table.title)}</h3>{as_html(table)}"


def _part(part: Part) -> str:
    content = "\n".join(part.content)
    return f"<section><h2>{escape(part.title)}</h2><p>{part.text}</p>\n{content}</section>"


def _definitions(facts: Facts) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts)
    return f"<dl>{rows}</dl>"
