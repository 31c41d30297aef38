"""Sentences for what the models refuse: path, value, what is allowed."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mmg_env.config_checks import KeyPath, Problem, did_you_mean, nearest
from mmg_env.config_overrides import ModelType, model_at

_LONGEST_TEXT = 40

_WANTED = {
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must be letters, digits, _ and -, a letter first",
}


def problems_of(error: ValidationError, root: ModelType, data: Any) -> Iterator[Problem]:
    """Yield a path into the raw content and a sentence for each error."""
    errors = error.errors(include_url=False)
    meant = {_meant(details, root, data) for details in errors}
    for details in errors:
        if _is_echo(details) or (details["type"] == "missing" and details["loc"] in meant):
            continue
        path = _without_kind(details["loc"], data)
        if details["type"] == "problems":
            for problem in details["ctx"]["problems"]:
                yield Problem(_within(data, (*path, *problem.field)), problem.sentence)
        else:
            speak = _SENTENCES.get(details["type"], _plain)
            yield speak(details, path, root, data)


def _is_echo(details: ErrorDetails) -> bool:
    """Say whether a list is called too short only because entries in it were refused."""
    return details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]


def _meant(details: ErrorDetails, root: ModelType, data: Any) -> KeyPath | None:
    """Return where a misspelt key should stand; that the key is missing there is no news."""
    if details["type"] != "extra_forbidden":
        return None
    loc = details["loc"]
    near = nearest(str(loc[-1]), _known_keys(_without_kind(loc, data), root, data))
    return (*loc[:-1], near) if near else None


def _known_keys(path: KeyPath, root: ModelType, data: Any) -> list[str]:
    model = model_at(root, data, path[:-1])
    return [] if model is None else list(model.model_fields)


def shown(value: Any) -> str:
    """Write a value as it stands in a file, in short and on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dict):
        return "a mapping"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 3] + "..."


def _without_kind(loc: KeyPath, data: Any) -> KeyPath:
    """Drop the names of kinds, which pydantic puts behind what may be of several kinds."""
    path: list[str | int] = []
    value = data
    for part in loc:
        if path and isinstance(value, dict) and part == value.get("kind") and part not in value:
            continue
        path.append(part)
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            value = None
    return tuple(path)


def _within(data: Any, path: KeyPath) -> KeyPath:
    """Cut positions of a list that stands in the file as one number."""
    for depth, part in enumerate(path):
        if isinstance(part, int) and not isinstance(data, list | tuple):
            return path[:depth]
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            data = None
    return path


def _plain(details: ErrorDetails, path: KeyPath, _root: ModelType, data: Any) -> Problem:
    template = _WANTED.get(details["type"])
    wanted = template.format(**details.get("ctx", {})) if template else details["msg"]
    return Problem(_within(data, path), f"{shown(details['input'])} {wanted}")


def _missing(_details: ErrorDetails, path: KeyPath, _root: ModelType, _data: Any) -> Problem:
    return Problem(path, "is missing; it must be given")


def _unknown_key(_details: ErrorDetails, path: KeyPath, root: ModelType, data: Any) -> Problem:
    known = _known_keys(path, root, data)
    near = did_you_mean(str(path[-1]), known)
    return Problem(path, f"unknown key{near or '; known here: ' + ', '.join(known)}")


def _choice(details: ErrorDetails, path: KeyPath, _root: ModelType, _data: Any) -> Problem:
    allowed = re.findall(r"'([^']*)'", details["ctx"]["expected"])
    return Problem(path, _one_of(details["input"], allowed))


def _unknown_kind(details: ErrorDetails, path: KeyPath, _root: ModelType, _data: Any) -> Problem:
    allowed = re.findall(r"'([^']*)'", details["ctx"]["expected_tags"])
    return Problem((*path, "kind"), _one_of(details["input"].get("kind"), allowed))


def _no_kind(_details: ErrorDetails, path: KeyPath, _root: ModelType, _data: Any) -> Problem:
    return Problem((*path, "kind"), "is missing; it must be given")


def _wrong_length(details: ErrorDetails, path: KeyPath, _root: ModelType, _data: Any) -> Problem:
    context = details["ctx"]
    length = len(details["input"])
    if "min_length" in context:
        wanted = context["min_length"]
        least = "at least " if wanted == 1 else ""
    else:
        wanted, least = context["max_length"], ""
    entries = "entry" if length == 1 else "entries"
    return Problem(path, f"has {length} {entries}; it must have {least}{wanted}")


def _one_of(value: Any, allowed: list[str]) -> str:
    near = did_you_mean(value, allowed) if isinstance(value, str) else ""
    return f"{shown(value)} must be one of {', '.join(allowed)}{near}"


_SENTENCES: dict[str, Callable[[ErrorDetails, KeyPath, ModelType, Any], Problem]] = {
    "missing": _missing,
    "extra_forbidden": _unknown_key,
    "literal_error": _choice,
    "union_tag_invalid": _unknown_kind,
    "union_tag_not_found": _no_kind,
    "too_short": _wrong_length,
    "too_long": _wrong_length,
}
