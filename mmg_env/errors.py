"""Errors that a user can mend, and the warning that goes with them."""


class InputError(ValueError):
    """Something that was handed in is wrong; the text says what, in one sentence a line."""


class ConfigError(InputError):
    """A system, suite or override is wrong; each line says where and what is allowed."""


class ConfigWarning(UserWarning):
    """A configuration is legal, but probably not what was meant."""
