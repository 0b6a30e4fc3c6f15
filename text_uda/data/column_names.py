"""Usual names of the columns of texts and of labels, the most likely first."""

from collections.abc import Sequence

TEXT_NAMES = (
    *("text", "sentence", "review", "content", "comment", "document", "body", "tweet", "message"),
    *("review_text", "review_body", "reviewtext", "comment_text", "title"),
)
LABEL_NAMES = (
    *("label", "labels", "class", "category", "stars", "rating", "score", "sentiment", "target", "y"),
    *("star_rating", "overall", "polarity"),
)


def is_usual(name: str) -> bool:
    return name.strip().casefold() in (*TEXT_NAMES, *LABEL_NAMES)


def usual_columns(columns: Sequence[str], usual: Sequence[str]) -> list[str]:
    """The columns with the most likely of the usual names; several if they differ only by case and blanks.

    The one that is spelled as usual comes before the others.
    """
    by_name: dict[str, list[str]] = {}
    for column in columns:
        by_name.setdefault(column.strip().casefold(), []).append(column)
    matches = next((by_name[name] for name in usual if name in by_name), [])
    exact = [column for column in matches if column in usual]
    return exact or matches
