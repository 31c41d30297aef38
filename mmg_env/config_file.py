"""From a name or a file, and overrides, to a checked system.

Names are looked up among the shipped suites, then the shipped systems; anything else is a path. A
suite is a system with changes: its own entries replace the system's, then its overrides apply,
then the caller's.
"""

from collections.abc import Mapping
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import Field, ValidationError

from mmg_env.config import SplitsConfig, SystemConfig
from mmg_env.config_checks import known_words, path_text
from mmg_env.config_devices import Count, Label, Model, Switch
from mmg_env.config_messages import problems_of, shown
from mmg_env.config_overrides import ModelType, override
from mmg_env.config_yaml import Document, Origin, read_text, read_yaml
from mmg_env.errors import ConfigError

_SUITE_RANK, _SYSTEM_RANK, _CALLER_RANK = range(3)
_REPLACED = ("source", "splits", "score_zero", "tuned_rule", "episode_h")
"""Keys of a suite that stand for the system's key of the same name."""


class SuiteConfig(Model):
    """What a suite file says: a system with changes, under a name of its own."""

    name: Label = Field(description="Name of the suite; it becomes the system's.")
    system: Label = Field(description="Name of a system, or a path from the suite's folder.")
    overrides: dict[str, Any] = Field(default={}, description="Values by path.")
    regression: Switch = Field(
        False, description="Whether it guards numbers, and is not meant to separate policies."
    )
    episode_h: Count | None = Field(None, description="Length of an episode, h.")
    source: dict[str, Any] | None = Field(None, description="Where episodes come from.")
    splits: SplitsConfig | None = Field(None, description="Sizes of the frozen splits.")
    score_zero: Label | None = Field(None, description="Policy whose score is 0.")
    tuned_rule: dict[str, Any] | None = Field(None, description="Policy `tuned_rule`.")


class _Resolved(NamedTuple):
    document: Document
    text: str


def config_directory() -> Path:
    """Return the folder of the shipped files: inside a wheel, or of the checkout."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "configs"


def suite_names() -> list[str]:
    """Return the names of the shipped suites, sorted."""
    return _names("suites")


def system_names() -> list[str]:
    """Return the names of the shipped systems, sorted."""
    return _names("systems")


def load_config(
    name_or_path: str | PathLike[str], overrides: Mapping[str, Any] | None = None
) -> SystemConfig:
    """Return a system or suite, checked as a whole after the overrides.

    Args:
        name_or_path: Name of a shipped suite or system, or a YAML file of either kind.
        overrides: Values by path, such as ``{"pool.enabled": False, "members[*].link_kw": 9.0}``;
            None removes what may be absent.

    Raises:
        ConfigError: One line per fault, each with the file and line or the override to blame.
    """
    plain = _resolve(_find(name_or_path)).document
    document = plain
    for path, value in (overrides or {}).items():
        origin = Origin((_CALLER_RANK, 0), f'override "{path}"')
        document = override(document, path, value, origin, SystemConfig)
    try:
        return _pinned(SystemConfig.model_validate(document.data))
    except ValidationError as error:
        blamed = _blamed(list(overrides or ())) if overrides and _is_valid(plain) else None
        raise _config_error(error, document, SystemConfig, blamed) from None


def load_suite(name_or_path: str | PathLike[str]) -> SuiteConfig:
    """Return what a suite file itself says, without its system."""
    return _suite(read_yaml(_find(name_or_path)))


def config_text(name_or_path: str | PathLike[str]) -> str:
    """Return a checked system as YAML: the file as written where a suite changes nothing."""
    load_config(name_or_path)
    return _resolve(_find(name_or_path)).text


def _pinned(config: SystemConfig) -> SystemConfig:
    """Return the system with the hash of the user's series, so that they cannot change unseen."""
    source = config.source
    if source is None or source.kind != "csv" or source.sha256 is not None:
        return config
    try:
        digest = sha256(Path(source.file).read_bytes()).hexdigest()
    except (OSError, ValueError):
        return config  # whoever reads the file says why it cannot be read
    return config.model_copy(update={"source": source.model_copy(update={"sha256": digest})})


def _located(document: Document, file: Path) -> Document:
    """Return a document whose source's file is named from the folder of the YAML file."""
    source = document.data.get("source")
    name = source.get("file") if isinstance(source, dict) else None
    if not isinstance(name, str) or not name:
        return document
    place = str(file.parent.absolute() / name)
    return Document({**document.data, "source": {**source, "file": place}}, document.origins)


def _names(kind: str) -> list[str]:
    return sorted(file.stem for file in (config_directory() / kind).glob("*.yaml"))


def _find(name_or_path: str | PathLike[str]) -> Path:
    name = str(name_or_path)
    if isinstance(name_or_path, str):
        for kind in ("suites", "systems"):
            if name in _names(kind):
                return config_directory() / kind / f"{name}.yaml"
    path = Path(name_or_path)
    looks_like_path = path.suffix in (".yaml", ".yml") or len(path.parts) > 1
    if not isinstance(name_or_path, str) or looks_like_path or _exists(path):
        return path
    known = sorted({*suite_names(), *system_names()})
    raise ConfigError(f"no system or suite {shown(name)}{known_words(name, known)}")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _resolve(file: Path) -> _Resolved:
    document = _located(read_yaml(file, _SUITE_RANK), file)
    if "system" not in document.data:
        return _Resolved(document, read_text(file))
    suite = _suite(document)
    system_file = _system_file(suite.system, file, document.origin(("system",)))
    plain = _located(read_yaml(system_file, _SYSTEM_RANK), system_file)
    changed = _apply(suite, document, plain)
    if changed.data == plain.data:
        return _Resolved(changed, read_text(system_file))
    return _Resolved(changed, yaml.dump(changed.data, Dumper=_Dumper, sort_keys=False, width=100))


def _suite(document: Document) -> SuiteConfig:
    try:
        return SuiteConfig.model_validate(document.data)
    except ValidationError as error:
        raise _config_error(error, document, SuiteConfig) from None


def _system_file(system: str, suite_file: Path, origin: Origin) -> Path:
    if system in system_names():
        return config_directory() / "systems" / f"{system}.yaml"
    path = suite_file.parent / system
    if _exists(path):
        return path
    sentence = (
        f"{shown(system)} is neither a file nor a system{known_words(system, system_names())}"
    )
    raise ConfigError(f"{origin.text}: system: {sentence}")


def _apply(suite: SuiteConfig, document: Document, system: Document) -> Document:
    """Return the system with everything that the suite changes."""
    result = override(system, "name", suite.name, document.origin(("name",)), SystemConfig)
    for key in _REPLACED:
        if key in document.data:
            value, origin = document.data[key], document.origin((key,))
            result = override(result, key, value, origin, SystemConfig)
            below = {p: o for p, o in document.origins.items() if p[0:1] == (key,)}
            result = Document(result.data, {**result.origins, **below})
    for path, value in suite.overrides.items():
        origin = document.origin(("overrides", path))
        result = override(result, path, value, origin, SystemConfig)
    return result


def _is_valid(document: Document) -> bool:
    try:
        SystemConfig.model_validate(document.data)
    except ValidationError:
        return False
    return True


def _blamed(paths: list[str]) -> str:
    word = "override" if len(paths) == 1 else "overrides"
    return f"{word} " + ", ".join(f'"{path}"' for path in paths)


def _config_error(
    error: ValidationError, document: Document, root: ModelType, blamed: str | None = None
) -> ConfigError:
    """Return one line per fault, in the order of the files.

    `blamed` stands for the place where the fault is not in an override itself, but the file
    alone is sound: the overrides together broke it.
    """
    lines: dict[str, tuple[int, int]] = {}
    for path, sentence in problems_of(error, root, document.data):
        origin = document.origin(path)
        from_file = origin.order[0] != _CALLER_RANK
        place = blamed if blamed and from_file else origin.text
        lines.setdefault(f"{place}: {path_text(path)}: {sentence}", origin.order)
    return ConfigError("\n".join(sorted(lines, key=lines.__getitem__)))


class _Dumper(yaml.SafeDumper):
    """Block style, but a list of numbers on one line."""


def _represent_list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    plain = not any(isinstance(item, dict | list) for item in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=plain)


_Dumper.add_representer(list, _represent_list)
