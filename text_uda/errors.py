"""Errors that the user can correct. Each message is one line that says how."""


class UserError(Exception):
    """The user can correct it. The command line prints the message and exits with code 2."""


class DataError(UserError):
    """A file, a row, a column or a label is invalid."""


class SettingsError(UserError):
    """Settings are out of range or contradict each other."""


class MissingPartError(UserError):
    """An optional program, package or data set is not installed; the message names how to get it."""
