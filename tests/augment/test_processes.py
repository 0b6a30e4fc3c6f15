"""Every method of words in several processes: a job travels there whole, and makes the same."""

from pathlib import Path

import pytest

from text_uda import AEDA, EDA, Compose, Statistics, Synonym, TfIdf, Typos, Uniform, paraphrase, read_paraphrases
from text_uda.augment import SwitchOut
from text_uda.text.wordnet import DEBIAN

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DEBIAN / "index.sense").exists(), reason="needs Debian's WordNet"),
]

TEXTS = [f"The old movie number {number} was not big, but the children bought it quickly." for number in range(40)]


def test_two_processes_make_what_one_makes(tmp_path: Path):
    tokens = SwitchOut(rate=0.2), Uniform(rate=0.2)
    words = TfIdf(statistics=Statistics.of(TEXTS)), Synonym(), EDA(), AEDA(), Typos()
    method = Compose(operations=(*words, *tokens))
    paraphrase(TEXTS, method, tmp_path, samples=2, workers=2, batch_size=8)
    made = list(read_paraphrases(TEXTS, method, tmp_path, samples=2))
    alone = [method([text, text], [0, 1]) for text in reversed(TEXTS)][::-1]
    assert [[each.text for each in samples] for samples in made] == [
        [each.text for each in samples] for samples in alone
    ]
    assert all(samples[0].text != samples[1].text for samples in made)
