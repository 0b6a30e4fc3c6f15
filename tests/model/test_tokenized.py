"""Texts made ready for the model."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from text_uda.data import Rows, Split
from text_uda.model import tokenized
from text_uda.model.classifier import encode
from text_uda.model.frozen_encoder import FeatureRows, FrozenEncoder
from text_uda.model.pretrained import load_classifier
from text_uda.model.tokenized import TokenRows, batches_by_tokens
from text_uda.objectives import PRESETS
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train

TEXTS = ["a good film", "the worst movie with the best actor", "love", "a good film", "really bad plot and scene"]


@pytest.fixture(scope="module")
def frozen(tiny_bert: Path) -> FrozenEncoder:
    classifier = load_classifier(str(tiny_bert), ("a", "b"), seed=0)
    return FrozenEncoder(classifier.model, classifier.tokenizer, max_tokens=32)


def test_features_are_those_of_each_text_alone(frozen: FrozenEncoder):
    features = frozen.rows(TEXTS)
    for index, text in enumerate(TEXTS):
        with torch.no_grad():
            alone = encode(frozen._model, TokenRows([text], frozen._tokenizer, max_tokens=32).batch([0]))
        torch.testing.assert_close(features.batch([index]).values, alone, atol=1e-5, rtol=1e-5)


def test_each_text_is_encoded_once(frozen: FrozenEncoder, monkeypatch):
    frozen.rows(TEXTS)
    calls = []
    monkeypatch.setattr(
        "text_uda.model.frozen_encoder.encode", lambda model, tokens: calls.append(len(tokens)) or encode(model, tokens)
    )
    frozen.rows([*TEXTS, "phone", "phone"])
    assert calls == [1]


@pytest.mark.parametrize("keep", ["first", "last"])
def test_a_longer_text_keeps_its_first_or_last_tokens(tiny_bert: Path, keep):
    made = load_classifier(str(tiny_bert), ("a", "b"), seed=0)
    encoder = FrozenEncoder(made.model, made.tokenizer, max_tokens=5, keep_tokens=keep)
    one, other_start, other_end = (
        encoder.rows(["good film bad plot story", "love the bad plot story", "good film bad best phone"])
        .batch(range(3))
        .values
    )
    assert torch.allclose(one, other_start, atol=1e-6) == (keep == "last")
    assert torch.allclose(one, other_end, atol=1e-6) == (keep == "first")


@pytest.mark.parametrize("max_tokens", [1, 9, 20, 1000])
def test_batches_of_neighbours_hold_each_row_once(tiny_bert: Path, max_tokens: int):
    made = TokenRows(TEXTS, AutoTokenizer.from_pretrained(tiny_bert), max_tokens=32)
    batches = batches_by_tokens(made, max_tokens)
    assert sorted(index for batch in batches for index in batch) == list(range(len(TEXTS)))
    shapes = [made.batch(batch).input_ids.shape for batch in batches]
    assert [width for _, width in shapes] == sorted(width for _, width in shapes)
    assert all(count == 1 or count * width <= max_tokens for count, width in shapes)
    for batch, after in pairwise(made.lengths[batch] for batch in batches):  # none could have taken one row more
        assert (len(batch) + 1) * after[0] > max_tokens


def test_lengths(tiny_bert: Path):
    made = TokenRows(["good", "a good film", "a b c d e f"], AutoTokenizer.from_pretrained(tiny_bert), max_tokens=6)
    assert made.lengths.tolist() == [3, 5, 6] and made.lengths.dtype == np.int32
    features = FeatureRows(torch.zeros(3, 4))
    assert features.lengths.tolist() == [1, 1, 1] and [len(each) for each in batches_by_tokens(features, 2)] == [2, 1]


def test_nothing_to_batch(tiny_bert: Path):
    made = TokenRows([], AutoTokenizer.from_pretrained(tiny_bert), max_tokens=32)
    assert len(made) == 0 and batches_by_tokens(made, 100) == []


@pytest.fixture
def many_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two texts fit into memory, and the tokenizer is given two at a time."""
    monkeypatch.setattr(tokenized, "_MAX_IN_MEMORY", 2)
    monkeypatch.setattr(tokenized, "_TEXTS_PER_CALL", 2)


@pytest.mark.parametrize("kept", [True, False])
def test_rows_in_a_file_are_those_in_memory(tiny_bert: Path, tmp_path: Path, monkeypatch, kept: bool):
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    plain = TokenRows(TEXTS, tokenizer, max_tokens=6)
    monkeypatch.setattr(tokenized, "_MAX_IN_MEMORY", 2)
    monkeypatch.setattr(tokenized, "_TEXTS_PER_CALL", 2)
    seen = []
    folder = tmp_path if kept else None
    of_file = TokenRows(
        TEXTS, tokenizer, max_tokens=6, folder=folder, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(0, 5), (2, 5), (4, 5), (5, 5)] and bool(list(tmp_path.iterdir())) == kept
    assert len(of_file) == 5 and of_file.lengths.tolist() == plain.lengths.tolist()
    for indices in ([0, 1, 2, 3, 4], [4, 4, 0], np.array([3])):
        ours, expected = of_file.batch(indices), plain.batch(indices)
        assert torch.equal(ours.input_ids, expected.input_ids)
        assert torch.equal(ours.attention_mask, expected.attention_mask)


def test_a_run_that_goes_on_finds_the_ids_of_the_same_texts_only(tiny_bert: Path, tmp_path: Path, many_are_few):
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)

    def made_anew(texts=TEXTS, **options) -> bool:
        calls = []
        options = {"max_tokens": 6, "folder": tmp_path, "progress": lambda *at: calls.append(at)} | options
        TokenRows(texts, tokenizer, **options)
        return bool(calls)

    assert made_anew() and not made_anew()
    assert made_anew(max_tokens=5) and made_anew(TEXTS[::-1]) and made_anew([*TEXTS[:-1], "really bad"])
    tokenizer.truncation_side = "left" if tokenizer.truncation_side == "right" else "right"
    assert made_anew() and not made_anew()
    tokenizer.add_tokens(["film-like"])
    assert made_anew()
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    assert not made_anew(), "however often the tokenizer was used since"


def test_a_run_keeps_ids_until_it_is_finished(tiny_bert: Path, tmp_path: Path, monkeypatch, many_are_few):
    """Begun again it does not tokenise; when it is done they are gone."""
    labeled = Rows(("a good film", "a bad film"), (1, 0))
    split = Split("toy", ("bad", "good"), labeled, tuple(TEXTS), labeled, labeled, "0" * 32)
    settings = TrainSettings(encoder=str(tiny_bert), steps=2, labeled_batch=2, unlabeled_ratio=1, precision="fp32")
    arguments = {"objectives": PRESETS["pi-model"].objectives, "settings": settings, "out": tmp_path / "run"}
    with monkeypatch.context() as patch:
        patch.setattr("text_uda.training.checkpoint.load", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(split, **arguments)
    assert len(list((tmp_path / "run" / "tokens").glob("*.safetensors"))) == 1
    with monkeypatch.context() as patch:
        original = tokenized._tokenize
        patch.setattr(tokenized, "_tokenize", lambda texts, *rest: original(texts, *rest) if len(texts) == 2 else 1 / 0)
        train(split, **arguments)
    assert not (tmp_path / "run" / "tokens").exists()


@pytest.mark.parametrize(("side", "kept"), [("left", "c d"), ("right", "a b")])
def test_a_long_text_keeps_the_side_asked_for(tiny_bert: Path, side: str, kept: str):
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    tokenizer.truncation_side = side
    tokens = TokenRows(["a b c d"], tokenizer, max_tokens=4).batch([0])  # two of them are [CLS] and [SEP]
    assert tokenizer.decode(tokens.input_ids[0], skip_special_tokens=True) == kept
