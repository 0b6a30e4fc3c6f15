"""TF-IDF replacement: the paper's probabilities by another way, what is drawn, and what of a text stays."""

import os
import pickle
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from text_uda.augment.tfidf import Statistics, TfIdf, replacement_probabilities
from text_uda.errors import SettingsError

CORPUS = [
    "the film was a good film and the plot was good",
    "the plot was an awful mess, but the actors were good",
    "not a good film: the story was never new",
    "The story of Alice, an actor. It isn't the old story of Alice and Bob at alice.com",
    "we saw the film",
]
STATISTICS = Statistics.of(CORPUS)
WORDS = "film plot was awful good the of story unheard actors".split()


def paper(texts: list[list[str]], text: list[str], rate: float) -> tuple[np.ndarray, dict[str, float]]:
    """Appendix A.2 of UDA in NumPy, term by term: p_i of the words of a text, and the weight of each substitute."""
    vocabulary = sorted({word for each in texts for word in each})
    counts = np.array([[each.count(word) for word in vocabulary] for each in texts])  # (texts, W)
    idf = dict(zip(vocabulary, np.log(len(texts) / (counts > 0).sum(axis=0)), strict=True))
    tfidf = np.array([text.count(word) / len(text) * idf.get(word, np.log(len(texts))) for word in text])
    score = counts.sum(axis=0) * np.array([idf[word] for word in vocabulary])
    below = tfidf.max() - tfidf
    probabilities = np.minimum(rate * below / below.mean(), 1) if below.any() else np.full(len(text), rate)
    return probabilities, dict(zip(vocabulary, score.max() - score, strict=True))


PLAIN = [
    ["a" if word == "an" else word for word in text.replace(",", "").replace(":", "").split()] for text in CORPUS[:3]
]
OF_PLAIN = Statistics.of(CORPUS[:3])


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=20), st.floats(0.01, 1))
def test_probabilities_of_the_paper(text: list[str], rate: float):
    idf = dict(zip(OF_PLAIN.words, OF_PLAIN.idf().tolist(), strict=True)) | {"of": np.log(3), "unheard": np.log(3)}
    expected, weights = paper(PLAIN, text, rate)
    assert replacement_probabilities(text, idf, rate) == pytest.approx(expected)
    assert list(weights) == list(OF_PLAIN.words)
    assert (OF_PLAIN.scores().max() - OF_PLAIN.scores()) == pytest.approx(np.array(list(weights.values())))
    assert min(idf.values()) == 0, "of a word in all texts; never below"


def test_words_are_replaced_and_drawn_as_often_as_they_should():
    job, text = TfIdf(statistics=OF_PLAIN, rate=0.6, keep_negations=False), "the film was good but awful"
    made = [(each.text or "").split() for each in job([text] * 8000, range(8000))]
    probabilities, weights = paper(PLAIN, text.split(), 0.6)
    for place, word in enumerate(text.split()):
        new = Counter("a" if words[place] == "an" else words[place] for words in made)
        changed = 8000 - new.pop(word, 0)
        if probabilities[place] in (0, 1):
            assert changed == 8000 * probabilities[place]
        else:
            expected = np.array([probabilities[place], 1 - probabilities[place]]) * 8000
            assert chisquare([changed, 8000 - changed], expected).pvalue > 1e-3
        allowed = {other: weight for other, weight in weights.items() if other != word and weight > 0}
        assert set(new) <= set(allowed), "never the word itself, nor the one that says most"
        if changed:
            share = np.array(list(allowed.values())) / sum(allowed.values())
            assert chisquare([new[other] for other in allowed], share * changed).pvalue > 1e-3


@pytest.mark.parametrize("text", ["film", "film film film"])
def test_words_that_all_say_the_same_are_replaced_at_the_rate(text: str):
    made = TfIdf(statistics=STATISTICS, rate=0.3)([text] * 2000, range(2000))
    assert np.mean([each.scores["change_rate"] for each in made]) == pytest.approx(0.3, abs=0.03)


def test_where_all_substitutes_say_the_same_all_are_as_likely():
    made = TfIdf(statistics=Statistics.of(["one two three four"]), rate=1.0)(["two"] * 3000, range(3000))
    found = Counter(each.text for each in made)
    assert set(found) == {"one", "three", "four"} and chisquare(list(found.values())).pvalue > 1e-3


def test_statistics_count_texts_not_occurrences():
    counts = zip(STATISTICS.document_frequency, STATISTICS.term_frequency, strict=True)
    of = dict(zip(STATISTICS.words, counts, strict=True))
    assert (of["film"], of["the"], of["a"], of["story"]) == ((3, 4), (5, 8), (4, 4), (2, 3)), "an is a"
    prose = {word for word, each in zip(STATISTICS.words, STATISTICS.in_prose, strict=True) if each}
    assert {"story", "the", "never", "it"} - prose == {"it"}, "lower case is needed to tell a word from a name"
    assert not prose & {"alice", "bob", "isn't", "com", "at.com"}
    assert Statistics.of(iter(CORPUS)) == STATISTICS != Statistics.of(CORPUS[1:])
    assert Statistics.of(CORPUS[::-1]).digest == STATISTICS.digest


@pytest.mark.parametrize(
    ("texts", "others"),
    [
        pytest.param(["a film"], ["a film", ""], id="number of texts"),
        pytest.param(["film film", "a"], ["film", "film a"], id="document frequency"),
        pytest.param(["a film"], ["a film film"], id="term frequency"),
        pytest.param(["a film"], ["a Film"], id="prose"),
        pytest.param(["a film"], ["a plot"], id="words"),
    ],
)
def test_the_digest_depends_on_each_count(texts: list[str], others: list[str]):
    one, other = Statistics.of(texts), Statistics.of(others)
    assert one.digest != other.digest and one != other
    assert TfIdf(statistics=one).settings() != TfIdf(statistics=other).settings()


ENDS = " http://film.com/a?b=1 \U0001f642\n\t", "\u0301 e-mail a@b.com… \ud800\r\n"
STAYS = ["  Don't\u00a0", "  <b>Alice</b> ", " $3.50, ", *ENDS]
NASTY = "{}see{}the{}film{}plot{}".format(*STAYS)


def test_every_byte_that_is_no_replaced_word_stays():
    job = TfIdf(statistics=STATISTICS, rate=1.0)
    made = [each.text or "" for each in job([NASTY] * 30, range(30))]
    assert all(part in each for part in STAYS for each in made) and NASTY not in made


def test_negations_names_and_protected_words_stay_and_are_not_drawn():
    text = "It was not Alice, good plot was never new"
    for keep in (True, False):
        job = TfIdf(statistics=STATISTICS, rate=1.0, protect=("good", "mess"), keep_negations=keep)
        made = [each.text or "" for each in job([text] * 300, range(300))]
        assert all("Alice, good" in each and each.count("good") == 1 and "mess" not in each for each in made)
        negations = {sum(word in ("not", "never") for word in each.replace(",", "").split()) for each in made}
        assert (negations == {2}) == keep
        assert all(each[0].isupper() for each in made), "the case of the word"


def test_articles_follow():
    statistics = Statistics.of(["a old odd ill", "a new big", "it is a one"])
    made = TfIdf(statistics=statistics, rate=1.0)(["the old one is a big thing, the end"] * 400, range(400))
    for each in made:
        found = (each.text or "").replace(",", " ,").split()
        for article, after in pairwise(found):
            if article in ("a", "an") and after != ",":
                assert article == ("an" if after[0] in "aeiou" else "a") or after == "one", each.text
    assert {"a", "an"} <= {word for each in made for word in (each.text or "").split()}


def test_a_pure_function_of_settings_text_and_sample_in_any_process():
    job, texts = TfIdf(statistics=STATISTICS), [*CORPUS, NASTY]
    together = job(texts, [1] * 6)
    assert [job([text], [1])[0] for text in reversed(texts)][::-1] == together != job(texts, [0] * 6)
    assert TfIdf(statistics=STATISTICS, seed=1)(texts, [1] * 6) != together
    sent = pickle.dumps((job, texts))
    assert pickle.loads(sent)[0] == job and hash(pickle.loads(sent)[0]) == hash(job)
    code = "import pickle, sys; job, texts = pickle.load(sys.stdin.buffer); "
    code += "sys.stdout.buffer.write(pickle.dumps((job.settings(), job(texts, [1] * 6))))"
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    there = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True, env=environment)
    assert pickle.loads(there.stdout) == (job.settings(), together)


@pytest.mark.parametrize("text", ["", "  ", "42 !", "日本語", "Don't", "not"])
def test_what_cannot_change_says_so(text: str):
    made = TfIdf(statistics=STATISTICS, rate=1.0)([text], [0])[0]
    assert (made.status, made.text, made.scores["change_rate"]) == ("unchanged", text, 0.0)


def test_refusals():
    for texts in ([], ["", " ! "], "a text"):
        with pytest.raises(SettingsError, match="texts"):
            Statistics.of(texts)
    wrong = [{"rate": 0}, {"rate": 1.1}, {"protect": "good"}, {"statistics": CORPUS}]
    for each in wrong:
        with pytest.raises(SettingsError, match=next(iter(each))):
            TfIdf(**{"statistics": STATISTICS} | each)
