"""Numbers of texts, as near copies and filters compare them."""

import random
import re

from text_uda.text.numbers import _NUMBER


def test_the_quick_pattern_matches_what_the_plain_one_does():
    plain = re.compile(r"(?:(?<![^\s(\[$€£¥])[-−])?(?:(?<![\w.])\.)?\d+(?:[.,:/]\d+)*")
    choose = random.Random(0)
    for _ in range(5000):
        text = "".join(choose.choices(" a(.-−1234,:/$€[x\t٣", k=choose.randrange(30)))
        assert _NUMBER.findall(text) == plain.findall(text), text
