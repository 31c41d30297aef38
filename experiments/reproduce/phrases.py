"""Phrases that pages share.

Source: our choice.
"""

from collections.abc import Iterable
from html import escape

from experiments.report.words import amount, number


def between(values: Iterable[float], digits: int = 0) -> str:
    """Return the range of some values in words."""
    found = list(values)
    low, high = (number(end, digits) if digits else amount(end) for end in (min(found), max(found)))
    return low if low == high else f"{low} to {high}"


def share(true: Iterable[bool], noun: str) -> str:
    """Return how many of some things are so."""
    found = list(true)
    return f"{sum(found)} of {len(found)} {noun}"


def listed(items: Iterable[str]) -> str:
    """Return things with commas between them and an `and` before the last."""
    *some, last = items
    return f"{', '.join(some)} and {last}" if some else last


def said(text: str) -> str:
    """Return what findings come to, as a paragraph."""
    return f"<p>{escape(text)}</p>"


def bulleted(items: Iterable[str]) -> str:
    """Return sentences as a list."""
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in items) + "</ul>"
