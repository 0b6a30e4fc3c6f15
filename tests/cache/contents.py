"""Every row of a cache, to compare."""

from translation_cache import Cache, rows


def content(cache: Cache) -> list[tuple]:
    """Every row of a cache, in one order, however it is spread over files."""
    found = [
        (
            mark,
            row["key"],
            row["source"],
            row["sample"],
            row["paraphrase"],
            row["pivot"],
            row["status"],
            str(row["scores"]),
        )
        for mark in cache.fingerprints()
        for row in rows(cache, mark)
    ]
    return sorted(found)
