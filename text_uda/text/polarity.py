"""Polarity of a text: whether it contains an English negation."""

import re

_NEGATION = re.compile(
    r"(?i)\b(?:not?|nor|none|never|nothing|nobody|nowhere|neither|cannot|without)\b"
    r"|n ?['’`´] ?t\b|\b(?:ai|are|ca|could|did|do|does|had|has|have|is|must|need|should|was|were|wo|would)nt\b"
)


def has_other_polarity(source: str, text: str) -> bool:
    """Whether one of the two texts contains a negation and the other does not."""
    return bool(_NEGATION.search(source)) != bool(_NEGATION.search(text))
