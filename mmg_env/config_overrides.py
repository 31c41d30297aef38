"""Overrides: paths such as ``members[*].battery.wear`` and the values to put there.

A path leads through the raw content of a file and through the models at the same time. Its last
key may be absent from the file but must be one the models know; the parts before it must exist,
unless a default stands for them. ``[*]`` skips entries without the device that the path names.
"""

import re
from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any, get_args

from pydantic import BaseModel

from mmg_env.config_checks import KeyPath, did_you_mean, nearest, path_text
from mmg_env.config_yaml import Document, Origin
from mmg_env.errors import ConfigError

_KEY = r"[A-Za-z_][A-Za-z0-9_-]*"
_ITEM = r"\[(?:\*|\d+|[A-Za-z][A-Za-z0-9_-]*)\]"
_WHOLE = re.compile(rf"{_KEY}(?:\.{_KEY}|{_ITEM})*\Z")
_STEP = re.compile(rf"{_KEY}|{_ITEM}")
_EXAMPLE = "a path such as pool.enabled, members[0].link_kw or members[*].battery.wear"

ModelType = type[BaseModel]


class _PathError(ValueError):
    """The path leads nowhere."""


class _DeviceAbsentError(_PathError):
    """The path is right, but this participant has no such device."""


def override(
    document: Document, path: str, value: Any, origin: Origin, root: ModelType
) -> Document:
    """Return the document with the value put wherever the path leads.

    Raises:
        ConfigError: The path leads nowhere; the message names the nearest key.
    """
    if not isinstance(path, str) or not _WHOLE.match(path):
        raise ConfigError(f"{origin.text}: {path!r} is not {_EXAMPLE}")
    try:
        targets = list(_targets(document.data, root, _STEP.findall(path), ()))
    except _PathError as error:
        raise ConfigError(f"{origin.text}: {error}") from None
    data = deepcopy(document.data)
    for target in targets:
        _put(data, target, deepcopy(value))
    return Document(data, {**_outside(document.origins, targets), **dict.fromkeys(targets, origin)})


def model_at(root: ModelType, data: Any, path: KeyPath) -> ModelType | None:
    """Return the model that describes the mapping at a path of the raw content, if there is one."""
    model: ModelType | None = root
    for part in path:
        data = _child(data, part)
        if isinstance(part, str):
            model = _below(model, part, data)
    return model


def _outside(origins: dict[KeyPath, Origin], targets: list[KeyPath]) -> dict[KeyPath, Origin]:
    replaced = set(targets)

    def kept(path: KeyPath) -> bool:
        return not any(path[: i + 1] in replaced for i in range(len(path)))

    return {path: origin for path, origin in origins.items() if kept(path)}


def _put(data: Any, target: KeyPath, value: Any) -> None:
    for part in target[:-1]:
        if isinstance(data, dict) and data.get(part) is None:
            data[part] = {}
        data = data[part]
    data[target[-1]] = value


def _child(data: Any, part: str | int) -> Any:
    try:
        return data[part]
    except (KeyError, IndexError, TypeError):
        return None


def _below(model: ModelType | None, key: str, value: Any) -> ModelType | None:
    """Return the model of a field; of several, the one whose `kind` the value names."""
    if model is None or key not in model.model_fields:
        return None
    found = list(_models_in(model.model_fields[key].annotation))
    if len(found) == 1:
        return found[0]
    kind = _child(value, "kind")
    return next((m for m in found if get_args(m.model_fields["kind"].annotation) == (kind,)), None)


def _models_in(annotation: Any) -> Iterator[ModelType]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _targets(data: Any, model: ModelType | None, steps: list[str], done: KeyPath) -> list[KeyPath]:
    """Return every path of the raw content that the steps lead to."""
    if not steps:
        return [done]
    if steps[0].startswith("["):
        return _items(data, model, steps, done)
    key, rest = steps[0], steps[1:]
    if model is None and not isinstance(data, dict):
        raise _PathError(f"{path_text(done)} has no keys")
    known = list(data) if model is None else list(model.model_fields)
    if key not in known:
        raise _PathError(_unknown(done, key, known))
    value = data.get(key) if isinstance(data, dict) else None
    if value is None and rest:
        value = _default(model, key, done)
    return _targets(value, _below(model, key, value), rest, (*done, key))


def _unknown(done: KeyPath, key: str, known: Iterable[str]) -> str:
    unknown = f'unknown key "{path_text((*done, key))}"'
    near = nearest(key, known)
    if near:
        return f'{unknown}; did you mean "{path_text((*done, near))}"?'
    return f"{unknown}; known here: {', '.join(known)}"


def _default(model: ModelType | None, key: str, done: KeyPath) -> dict[str, Any]:
    """An absent part is created if the models have a default for it; a device is not."""
    if model is not None and isinstance(model.model_fields[key].default, BaseModel):
        return {}
    raise _DeviceAbsentError(f"matches nothing, because there is no {path_text((*done, key))}")


def _items(data: Any, model: ModelType | None, steps: list[str], done: KeyPath) -> list[KeyPath]:
    item, rest = steps[0][1:-1], steps[1:]
    if not isinstance(data, list):
        raise _PathError(f"{path_text(done)} is not a list, so [{item}] matches nothing")
    if item != "*":
        index = _index(data, item, done)
        return _targets(data[index], model, rest, (*done, index))
    targets: list[KeyPath] = []
    for index, value in enumerate(data):
        try:
            targets += _targets(value, model, rest, (*done, index))
        except _DeviceAbsentError:
            continue
    if not targets:
        raise _PathError(f"matches nothing, because no entry of {path_text(done)} has that device")
    return targets


def _index(data: list[Any], item: str, done: KeyPath) -> int:
    """Return the position of an entry given by number or by name."""
    if item.isdigit():
        if int(item) < len(data):
            return int(item)
        raise _PathError(f"{path_text(done)} has {len(data)} entries, [0] to [{len(data) - 1}]")
    names = [str(_child(entry, "name")) for entry in data]
    if item in names:
        return names.index(item)
    raise _PathError(
        f'{path_text(done)} has no entry "{item}"{did_you_mean(item, names) or _listed(names)}'
    )


def _listed(names: list[str]) -> str:
    return f"; it has {', '.join(names)}"
