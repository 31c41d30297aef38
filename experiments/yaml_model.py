"""A YAML file as a checked model: the files of `configs` that only the commands read."""

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from mmg_env.config_checks import path_text
from mmg_env.config_devices import Model
from mmg_env.config_messages import problems_of
from mmg_env.config_yaml import read_yaml
from mmg_env.errors import ConfigError

M = TypeVar("M", bound=Model)


def read_model(file: Path, kind: type[M]) -> M:
    """Return what a file says.

    Raises:
        ConfigError: one line per fault, with file, line, key and what is allowed.
    """
    document = read_yaml(file)
    try:
        return kind.model_validate(document.data)
    except ValidationError as error:
        lines = [
            f"{document.origin(path).text}: {path_text(path)}: {sentence}"
            for path, sentence in problems_of(error, kind, document.data)
        ]
        raise ConfigError("\n".join(lines)) from None
