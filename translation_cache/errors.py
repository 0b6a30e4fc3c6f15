"""What can go wrong with a cache. Each message is one line that says what to do."""


class CacheError(Exception):
    """A cache is damaged, is no cache, or cannot be written."""
