"""Errors that a user can mend."""


class InputError(ValueError):
    """Something that was handed in is wrong; the text says what, in one sentence a line."""


class ConfigError(InputError):
    """A system, suite or override is wrong; each line says where and what is allowed."""
