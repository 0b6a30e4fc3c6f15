"""The errors of a cache. Each message is one line and says what to do."""

from translation_cache.credentials import without_secrets


class CacheError(Exception):
    """A cache is damaged or cannot be written, or a folder is not a cache. The message shows no secrets."""

    def __init__(self, message: str = "") -> None:
        super().__init__(without_secrets(message))


class WorkerError(Exception):
    """A job raised an exception in a worker of a cluster; the message is that exception."""


class DamagedError(CacheError):
    """The content of a file of the cache does not match its name; the message is the reason."""
