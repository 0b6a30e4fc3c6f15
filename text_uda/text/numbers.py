"""Numbers in a text."""

import re
from collections import Counter

# A sign and a decimal point count only where no word or number precedes them: 3-5 and 3 -5 have no -5. The
# first group skips the characters that begin no number, since lookbehinds are slow.
_NUMBER = re.compile(r"(?=[-−.\d])(?:(?<![^\s(\[$€£¥])(?<!\d\s)[-−])?(?:(?<![\w.])\.)?\d+(?:[.,:/]\d+)*")
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")


def find_numbers(text: str) -> list[str]:
    """The numbers written in digits, in order: 3.5, -5, .5, 10:30, 1/2; without separators of thousands, 1000."""
    numbers = (number.replace("−", "-") for number in _NUMBER.findall(text))
    return [number.replace(",", "") if _THOUSANDS.fullmatch(number) else number for number in numbers]


def has_other_numbers(source: str, text: str) -> bool:
    """Whether `text` lacks, adds or changes a number of `source`, written in digits."""
    return Counter(find_numbers(source)) != Counter(find_numbers(text))
