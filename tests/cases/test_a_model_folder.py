"""What decides a prediction is in RUN/model: transformers alone gives the labels and probabilities of `predict`."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer, pipeline

from text_uda.data import Rows, Split
from text_uda.model.pretrained import load_classifier
from text_uda.objectives import LogisticRegression, SelfTraining, Supervised
from text_uda.runs.directory import RunDirectory
from text_uda.runs.prediction import predict
from text_uda.training.pretraining import PretrainSettings, pretrain
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train

WORDS = "great best good love worst bad dull poor film plot story actor".split()
LENGTH = 12  # of a text, in tokens; the encoder has positions for 128


def rows(count: int, shift: int) -> Rows:
    """Texts of up to 60 words, whose first and last words differ."""
    texts = [
        " ".join(WORDS[(shift + row + place * (1 + row % 3)) % len(WORDS)] for place in range(1 + row * 7 % 60))
        for row in range(count)
    ]
    return Rows(
        tuple(f"{text} the {WORDS[row % 8]}" for row, text in enumerate(texts)), tuple(i % 2 for i in range(count))
    )


@pytest.fixture(scope="module")
def split() -> Split:
    return Split("test", ("bad", "good"), rows(8, 0), rows(6, 5).texts, rows(6, 1), rows(30, 3), "0" * 32)


@pytest.fixture(scope="module")
def settings(tiny_bert: Path) -> TrainSettings:
    return TrainSettings(encoder=str(tiny_bert), steps=4, labeled_batch=4, learning_rate=1e-2, max_tokens=LENGTH)


def check_folder(run: Path, texts: tuple[str, ...], *, side: str) -> None:
    classify: Any = pipeline("text-classification", str(run / "model"), top_k=None)
    expected = [prediction["probabilities"] for prediction in predict(run, texts)]
    for options in ({}, {"batch_size": 7}):
        for scores, ours in zip(classify(list(texts), truncation=True, **options), expected, strict=True):
            assert {score["label"]: score["score"] for score in scores} == pytest.approx(ours, abs=1e-5)
    saved = json.loads((run / "model" / "tokenizer_config.json").read_text())
    assert (saved["model_max_length"], saved["truncation_side"]) == (LENGTH, side)
    alone = Tokenizer.from_file(str(run / "model" / "tokenizer.json"))  # without transformers
    assert alone.padding is None and max(len(row.ids) for row in alone.encode_batch(list(texts))) == LENGTH


@pytest.mark.parametrize("keep", ["last", "first"])
@pytest.mark.parametrize("tune", ["head", "last:1", "all"])
def test_the_folder_of_a_run_and_of_its_refit(keep, tune, split, settings, tmp_path):
    settings = replace(settings, tune=tune, keep_tokens=keep)
    train(split, objectives=(Supervised(),), settings=settings, out=tmp_path / "run", refit=True)
    for run in (tmp_path / "run", tmp_path / "run" / "refit"):
        check_folder(run, split.test.texts, side={"last": "left", "first": "right"}[keep])


@pytest.mark.parametrize("baseline", [LogisticRegression(), SelfTraining()])
def test_the_folder_of_a_baseline(baseline, split, settings, tmp_path):
    train(split, objectives=(baseline,), settings=settings, out=tmp_path / "run")
    check_folder(tmp_path / "run", split.test.texts, side="left")


def test_stored_features_leave_the_same_tokenizer(split, settings, tmp_path, monkeypatch):
    """A run that finds its features does not call the tokenizer, which keeps the truncation of its last call."""
    monkeypatch.setenv("TEXT_UDA_FEATURES", str(tmp_path / "features"))
    for name in ("first", "second"):
        train(split, objectives=(Supervised(),), settings=replace(settings, tune="head"), out=tmp_path / name)
    first, second = (
        {path.name: path.read_bytes() for path in sorted((tmp_path / name / "model").iterdir())}
        for name in ("first", "second")
    )
    assert first == second


def test_a_run_of_an_earlier_version_reads_the_tokens_of_its_configuration(split, settings, tmp_path):
    """Its tokenizer does not know max_tokens."""
    run = tmp_path / "run"
    train(split, objectives=(Supervised(),), settings=settings, out=run)
    expected = list(predict(run, split.test.texts))
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    tokenizer.model_max_length = 128
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.save_pretrained(run / "model")
    result = RunDirectory(run).result() or {}
    RunDirectory(run).write("result.json", {name: value for name, value in result.items() if name != "model_files"})
    assert list(predict(run, split.test.texts)) == expected


def test_upper_case_is_read_as_the_encoder_reads_it(split, settings, tmp_path):
    train(split, objectives=(Supervised(),), settings=settings, out=tmp_path / "run")
    check_folder(tmp_path / "run", tuple(text.upper() for text in split.test.texts), side="left")


def test_pretraining_keeps_the_length_of_the_encoder(tiny_bert, split, tmp_path):
    """Fine-tuning may read more of a text than pretraining did."""
    folder = Path(shutil.copytree(tiny_bert, tmp_path / "encoder"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = int(1e30)
    tokenizer.save_pretrained(folder)
    settings = PretrainSettings(encoder=str(folder), steps=1, max_tokens=LENGTH)
    pretrain(split.test.texts, settings=settings, out=tmp_path / "run")
    assert AutoTokenizer.from_pretrained(tmp_path / "run" / "model").model_max_length == 128
    assert load_classifier(str(tmp_path / "run"), ("a", "b"), seed=0).tokenizer.model_max_length == 128


def test_fewer_positions_than_max_tokens_are_told(tiny_bert, split, settings, tmp_path, caplog):
    train(split, objectives=(Supervised(),), settings=replace(settings, max_tokens=500), out=tmp_path / "run")
    assert "the encoder reads 128 tokens at most: max_tokens=500 is lowered" in caplog.text
    assert AutoTokenizer.from_pretrained(tmp_path / "run" / "model").model_max_length == 128
