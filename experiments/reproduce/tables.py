"""Tables that are shown on a page and on the terminal, and written as CSV.

Source: our choice.
"""

import csv
from collections.abc import Iterator, Sequence
from html import escape
from io import StringIO
from typing import Final, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table as Drawn

from experiments.report.words import NOTHING, amount, number, spread
from experiments.statistics import Interval

NARROW: Final = 5  # columns of a table that does not fill a page

Cell = str | float | int | Interval


class Head(NamedTuple):
    """A column's head.

    Attributes:
        title: what it holds.
        unit: of its numbers, or a remark.
        digits: decimals of its numbers; below 0 for powers of ten.
    """

    title: str
    unit: str = ""
    digits: int = 0


class Table(NamedTuple):
    """A table.

    Attributes:
        file: name of its CSV file, without ending.
        title: heading.
        heads: of the columns; the first ones that hold text name the row.
        rows: cells by row; an interval is a value with its bounds.
    """

    file: str
    title: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]


def written(cell: Cell, digits: int) -> tuple[str, str]:
    """Return a cell's text, and the bounds around it."""

    def write(value: float) -> str:
        if digits < 0:
            return f"{value:.{-digits}e}".replace("-", "\u2212")
        return number(value, digits) if digits else amount(value)

    if isinstance(cell, str):
        return cell, ""
    if isinstance(cell, Interval):
        return write(cell.value), spread(cell, write)
    return write(float(cell)), ""


def as_html(table: Table) -> str:
    """Return a table for a page."""
    heads = "".join(
        f'<th scope="col"{_kind(cell)}>{escape(head.title)}<small>{escape(head.unit)}</small></th>'
        for head, cell in zip(table.heads, table.rows[0], strict=True)
    )
    body = "\n".join(_row(table.heads, row) for row in table.rows)
    narrow = ' class="narrow"' if len(table.heads) <= NARROW else ""
    return (
        f'<div class="wide"><table{narrow}><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _row(heads: Sequence[Head], row: Sequence[Cell]) -> str:
    cells = []
    for place, (head, cell) in enumerate(zip(heads, row, strict=True)):
        value, bounds = written(cell, head.digits)
        small = f"<small>{escape(bounds)}</small>" if bounds else ""
        if place == 0:
            cells.append(f'<th scope="row">{escape(value)}{small}</th>')
        else:
            cells.append(f"<td{_kind(cell)}>{escape(value)}{small}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _kind(cell: Cell) -> str:
    """Return the attribute that lets words begin at the left."""
    return ' class="text"' if isinstance(cell, str) and cell != NOTHING else ""


def as_terminal(table: Table) -> Drawn:
    """Return a table for the terminal."""
    drawn = Drawn(title=table.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for place, head in enumerate(table.heads):
        text = any(_kind(row[place]) for row in table.rows[:1])
        drawn.add_column(f"{head.title}\n{head.unit}".strip(), justify="left" if text else "right")
    for row in table.rows:
        texts = (written(c, head.digits) for head, c in zip(table.heads, row, strict=True))
        drawn.add_row(*(f"{value}\n{bounds}".strip() for value, bounds in texts))
    return drawn


def as_csv(table: Table) -> str:
    """Return a table as CSV in full precision; an interval takes three columns."""
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    wide = [
        any(isinstance(row[k], Interval) for row in table.rows) for k in range(len(table.heads))
    ]
    names: list[str] = []
    for head, is_wide in zip(table.heads, wide, strict=True):
        name = _name(head)
        names += [name, f"{name}_low", f"{name}_high"] if is_wide else [name]
    writer.writerow(names)
    for row in table.rows:
        writer.writerow(
            [x for cell, is_wide in zip(row, wide, strict=True) for x in _raw(cell, is_wide)]
        )
    return stream.getvalue()


def _name(head: Head) -> str:
    """Return a column's name: its title and unit in one word."""
    text = f"{head.title} {head.unit}".strip()
    return "_".join("".join(c if c.isalnum() else " " for c in text).split())


def _raw(cell: Cell, is_wide: bool) -> Iterator[str | float | int]:
    if isinstance(cell, Interval):
        yield from cell
        return
    yield "" if cell == NOTHING else cell
    if is_wide:
        yield from ("", "")
