"""Texts made ready for the model."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from text_uda.model import encode
from text_uda.pretrained import load_classifier
from text_uda.rows import FrozenEncoder, TokenRows, batches_by_tokens

TEXTS = ["a good film", "the worst movie with the best actor", "love", "a good film", "really bad plot and scene"]


@pytest.fixture(scope="module")
def frozen(tiny_bert: Path) -> FrozenEncoder:
    classifier = load_classifier(str(tiny_bert), ("a", "b"), seed=0)
    return FrozenEncoder(classifier.model, classifier.tokenizer, max_tokens=32)


def test_features_are_those_of_each_text_alone(frozen: FrozenEncoder):
    rows = frozen.rows(TEXTS)
    for index, text in enumerate(TEXTS):
        with torch.no_grad():
            alone = encode(frozen._model, TokenRows([text], frozen._tokenizer, max_tokens=32).batch([0]))
        torch.testing.assert_close(rows.batch([index]).values, alone, atol=1e-5, rtol=1e-5)


def test_each_text_is_encoded_once(frozen: FrozenEncoder, monkeypatch):
    frozen.rows(TEXTS)
    calls = []
    monkeypatch.setattr(
        "text_uda.rows.encode", lambda model, tokens: calls.append(len(tokens)) or encode(model, tokens)
    )
    frozen.rows([*TEXTS, "phone", "phone"])
    assert calls == [1]


def test_batches_of_neighbours_hold_each_row_once(tiny_bert: Path):
    rows = TokenRows(TEXTS, AutoTokenizer.from_pretrained(tiny_bert), max_tokens=32)
    batches = batches_by_tokens(rows, 20)
    assert sorted(index for batch in batches for index in batch) == list(range(len(TEXTS)))
    widths = [rows.batch(batch).input_ids.shape[1] for batch in batches]
    assert widths == sorted(widths) and len(batches) > 1


@pytest.mark.parametrize(("side", "kept"), [("left", "c d"), ("right", "a b")])
def test_a_long_text_keeps_the_side_asked_for(tiny_bert: Path, side: str, kept: str):
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    tokenizer.truncation_side = side
    tokens = TokenRows(["a b c d"], tokenizer, max_tokens=4).batch([0])  # two of them are [CLS] and [SEP]
    assert tokenizer.decode(tokens.input_ids[0], skip_special_tokens=True) == kept
