"""What can go wrong with a cache. Each message is one line that says what to do."""


class CacheError(Exception):
    """A cache is damaged, is no cache, or cannot be written."""


class WorkerError(Exception):
    """A job failed in a worker of a cluster; the message is the exception that it raised there."""


class DamagedError(CacheError):
    """A file of the cache is not what its name says; the message is the reason."""
