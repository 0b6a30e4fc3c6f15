"""Numbers in a text."""

import re
from collections import Counter

_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")


def has_other_numbers(source: str, text: str) -> bool:
    """Whether `text` lacks, adds or changes a number of `source`, written in digits."""
    return Counter(_NUMBER.findall(source)) != Counter(_NUMBER.findall(text))
