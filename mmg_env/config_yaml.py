"""YAML with line numbers: every value knows the file and line it came from.

Scalars follow the core schema of YAML 1.2, not PyYAML's 1.1: ``1e3`` is a number, ``010`` is ten
and ``yes`` is text. A key given twice is refused.

Source: https://yaml.org/spec/1.2.2, section 10.3.2.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mmg_env.config_checks import KeyPath, path_text
from mmg_env.errors import ConfigError

_TAG = "tag:yaml.org,2002:"
_LONGEST_INT = 18
"""Digits up to which an integer stays one; longer ones can only be meant as magnitudes."""


class Origin(NamedTuple):
    """Where a value came from: a text for people, and a key that sorts in reading order."""

    order: tuple[int, int]
    text: str


@dataclass(frozen=True)
class Document:
    """The raw content of one or more files, and the origin of each path in it."""

    data: Any
    origins: dict[KeyPath, Origin]

    def origin(self, path: KeyPath) -> Origin:
        """Return where the value at a path, or the nearest value around it, came from."""
        while path not in self.origins:
            path = path[:-1]
        return self.origins[path]


class _Loader(yaml.SafeLoader):
    """Knows only the scalars of the core schema; values are built by `_build`."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _kind, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)\Z", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", list("tTfF")),
    ("int", r"[-+]?[0-9]+\Z", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z",
        list("-+.0123456789"),
    ),
    ("float", r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z", list("-+.")),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(_pattern), _first)


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= _LONGEST_INT else float(text)


def _floating(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: dict[str, Callable[[str], Any]] = {
    _TAG + "null": lambda _: None,
    _TAG + "bool": lambda text: text.lower() == "true",
    _TAG + "int": _integer,
    _TAG + "float": _floating,
    _TAG + "str": str,
}


def read_text(file: Path) -> str:
    """Return the text of a file; whatever is in the way becomes one sentence."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        reason = "there is no such file"
    except IsADirectoryError:
        reason = "is a directory; a YAML file is wanted"
    except UnicodeDecodeError:
        reason = "is not text in UTF-8; a YAML file is wanted"
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except ValueError:
        reason = "is not a name that a file can have"
    raise ConfigError(f"{str(file)!r}: {reason}" if "\0" in str(file) else f"{file}: {reason}")


def read_yaml(file: Path, rank: int = 0) -> Document:
    """Read one file; `rank` sorts its origins among those of other files."""
    text = read_text(file)
    try:
        root = yaml.compose(text, Loader=_Loader)
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError(f'{file}:1: a mapping of keys to values is wanted, as "name: x"')
        builder = _Builder(str(file), rank)
        return Document(builder.build(root, ()), builder.origins)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        context = f"{error.context}, " if error.context else ""
        raise ConfigError(f"{file}:{line}: not valid YAML: {context}{error.problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{file}:{line}: not valid YAML: {error.reason}") from None
    except RecursionError:
        raise ConfigError(f"{file}: nested too deeply, or an alias contains itself") from None


class _Builder:
    """Turns the nodes of one file into plain values and notes the line of each."""

    def __init__(self, file: str, rank: int) -> None:
        self.file = file
        self.rank = rank
        self.origins: dict[KeyPath, Origin] = {}

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        """Return the value of a node and record origins below `path`."""
        self.origins.setdefault(path, self._origin(node))
        if isinstance(node, yaml.MappingNode):
            return dict(self._entries(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        try:
            return _SCALARS[node.tag](node.value)
        except (KeyError, ValueError):
            tag = node.tag.replace(_TAG, "!!")
            raise self._refusal(node, path, f"the tag {tag} is not allowed here") from None

    def _entries(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, Any]]:
        for key_node, value_node in node.value:
            if key_node.tag != _TAG + "str":
                raise self._refusal(key_node, path, "a key must be text")
            key = key_node.value
            below = (*path, key)
            if below in self.origins:
                sentence = f"given twice, first in {self.origins[below].text}"
                raise self._refusal(key_node, below, sentence)
            self.origins[below] = self._origin(key_node)
            yield key, self.build(value_node, below)

    def _origin(self, node: yaml.Node) -> Origin:
        line = node.start_mark.line + 1
        return Origin((self.rank, line), f"{self.file}:{line}")

    def _refusal(self, node: yaml.Node, path: KeyPath, sentence: str) -> ConfigError:
        where = f"{path_text(path)}: " if path else ""
        return ConfigError(f"{self._origin(node).text}: {where}{sentence}")
