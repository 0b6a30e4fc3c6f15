"""What can go wrong because of what the user asked for. Each message is one line that says what to do."""


class UserError(Exception):
    """A mistake or a lack that the user can mend. The command line prints it and exits with code 2."""


class DataError(UserError):
    """A file, a row, a column or a label is not what it has to be."""


class SettingsError(UserError):
    """Settings that are out of range, or that do not go together."""


class MissingPartError(UserError):
    """An optional program, package or data set is not installed; the message names how to get it."""
