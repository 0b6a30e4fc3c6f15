"""Usual names of the columns of texts and of labels, the most likely first."""

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
