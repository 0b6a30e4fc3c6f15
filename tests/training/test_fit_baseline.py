"""Baselines as runs: the directory that they leave, what opens it, what they refuse."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression as Fit
from transformers import pipeline

from text_uda.data import Rows, Split
from text_uda.errors import SettingsError
from text_uda.model.frozen_encoder import FrozenEncoder
from text_uda.objectives import LogisticRegression, SelfTraining, Supervised
from text_uda.objectives.weight_averaging import EMA
from text_uda.runs.evaluation import evaluate
from text_uda.runs.prediction import predict
from text_uda.training.labels_only_reference import frozen_encoder
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train

GOOD = ("good", "great", "fine", "best", "love")
BAD = ("bad", "poor", "dull", "worst", "not")
EVEN = ("film", "plot", "story", "actor", "phone")


def rows(frame: str) -> Rows:
    words = (*BAD, *GOOD, *EVEN)
    return Rows(tuple(frame.format(word) for word in words), (0,) * 5 + (1,) * 5 + (2,) * 5)


@pytest.fixture(scope="module")
def split() -> Split:
    unlabeled = (*rows("this is {}").texts, *rows("it was a {}").texts)
    return Split(*("test", ("bad", "good", "even"), rows("the {}"), unlabeled, rows("that {}"), rows("a {}"), "0" * 32))


@pytest.fixture(scope="module")
def settings(tiny_bert: Path) -> TrainSettings:
    return TrainSettings(encoder=str(tiny_bert), max_tokens=16)


@pytest.fixture(scope="module", params=["bert", "distilbert", "roberta"])
def encoder(request: pytest.FixtureRequest, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of each class with a head of its own, with the tokenizer of the tiny BERT; features depend on the text."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    folder = tmp_path_factory.mktemp(request.param)
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    tokenizer.save_pretrained(folder)
    width = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    sizes = {
        "bert": width,
        "roberta": width,
        "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
    }[request.param]
    config = AutoConfig.for_model(
        *(request.param,),
        vocab_size=len(tokenizer),
        max_position_embeddings=130,
        pad_token_id=0,
        initializer_range=0.3,
        **sizes,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(folder)
    return folder


def test_the_folder_opens_anywhere_with_the_probabilities_of_scikit_learn(split, encoder, tmp_path):
    settings = TrainSettings(encoder=str(encoder), max_tokens=16)
    result = train(split, objectives=(LogisticRegression(C=10.0),), settings=settings, out=tmp_path / "run")
    frozen = frozen_encoder(split, settings, torch.device("cpu"))
    features, test = (frozen.rows(part.texts).values.numpy().astype(np.float64) for part in (split.labeled, split.test))
    lengths = np.linalg.norm(features, axis=-1)
    assert lengths.std() < 1e-3 * lengths.mean(), "these features have one length, so x is L2-normalised"
    fit = Fit(C=10.0, max_iter=10_000, tol=1e-8).fit(features / lengths[:, None], split.labeled.labels)
    expected = fit.predict_proba(test / lengths.mean())
    assert expected.max(axis=-1).std() > 0.01, "there is something to get wrong"
    opened = pipeline("text-classification", model=str(tmp_path / "run" / "model"), device="cpu")
    names = [split.classes.index(row["label"]) for row in opened(list(split.test.texts))]
    assert names == expected.argmax(axis=-1).tolist()
    for said, own in zip(opened(list(split.test.texts), top_k=None), expected, strict=True):
        assert [{r["label"]: r["score"] for r in said}[name] for name in split.classes] == pytest.approx(own, abs=1e-4)
    for said, own in zip(predict(tmp_path / "run", split.test.texts), expected, strict=True):
        assert list(said["probabilities"].values()) == pytest.approx(own, abs=1e-4)
    assert evaluate(tmp_path / "run", split.test)["test_error"] == result["test_error"] == result["last_test_error"]


@pytest.mark.parametrize("baseline", [LogisticRegression(), SelfTraining(rounds=2)])
def test_it_leaves_what_a_run_leaves(split, settings, baseline, tmp_path):
    out = tmp_path / "run"
    result = train(split, objectives=(baseline,), settings=settings, out=out)
    assert {path.name for path in out.iterdir()} == {
        *("config.json", "metrics.jsonl", "model", "result.json", "test_examples.jsonl", ".lock"),
        *("dev_predictions.jsonl", "seen_texts.npz"),
    }
    config = json.loads((out / "config.json").read_text())
    trained = train(split, objectives=(Supervised(),), settings=replace(settings, steps=1), out=tmp_path / "other")
    assert trained.keys() <= result.keys() and config["method"] in ("logistic-regression", "self-training")
    assert (result["steps"], result["best_step"], config["steps"]) == (0, 0, 0)
    assert result["dev_error"] == result["last_dev_error"]
    assert result["fit"]["folds"] == 5 and result["fit"]["C"] > 0
    (record,) = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    assert record["kind"] == "dev" and record["step"] == 0 and record["error"] == result["dev_error"]
    assert len((out / "test_examples.jsonl").read_text().splitlines()) == 15
    assert config["objectives"][0]["objective"] == type(baseline).__name__


def test_encoding_is_no_part_of_its_time_nor_of_that_of_a_training(split, settings, tmp_path, monkeypatch):
    encode = FrozenEncoder.rows

    def slowly(self, texts, **options):
        time.sleep(1)
        return encode(self, texts, **options)

    monkeypatch.setattr(FrozenEncoder, "rows", slowly)
    for name, method in (("fit", LogisticRegression()), ("steps", Supervised())):
        result = train(
            split, objectives=(method,), settings=replace(settings, steps=1, tune="head"), out=tmp_path / name
        )
        assert result["seconds"] < 1, "three calls of a second each"


def test_no_development_row_and_no_step_decides_anything(split, settings, tmp_path):
    other = replace(split, dev=Rows(("a phone",), (0,)), test=Rows(("a film",), (1,)), digest="1" * 32)
    unlike = replace(settings, steps=7, learning_rate=0.1, labeled_batch=2)
    for baseline in (LogisticRegression(), SelfTraining(rounds=2)):
        out = tmp_path / type(baseline).__name__
        train(split, objectives=(baseline,), settings=settings, out=out / "one")
        train(other, objectives=(baseline,), settings=unlike, out=out / "other")
        first, second = ((out / each / "model" / "model.safetensors").read_bytes() for each in ("one", "other"))
        assert first == second
        read = train(split, objectives=(baseline,), settings=unlike, out=out / "one")  # no other settings
        assert read["steps"] == 0


def test_unfinished_it_begins_again_and_finished_it_is_read(split, settings, tmp_path, monkeypatch):
    out = tmp_path / "run"
    first = train(split, objectives=(LogisticRegression(),), settings=settings, out=out)
    weights = (out / "model" / "model.safetensors").read_bytes()
    (out / "result.json").unlink()
    again = train(split, objectives=(LogisticRegression(),), settings=settings, out=out)
    assert (out / "model" / "model.safetensors").read_bytes() == weights
    timeless = {"seconds": 0, "cpu_seconds": 0}
    assert first | timeless == again | timeless
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 1

    def fail(*_arguments, **_named):
        raise AssertionError("a finished run is read")

    monkeypatch.setattr(LogisticRegression, "fit", fail)
    assert train(split, objectives=(LogisticRegression(),), settings=settings, out=out) == again


def test_unlabeled_texts_decide_self_training_alone(split, settings, tmp_path):
    other = replace(split, unlabeled=split.unlabeled[::3], digest="1" * 32)
    for baseline, same in ((LogisticRegression(), True), (SelfTraining(), False)):
        for name, part in (("one", split), ("other", other)):
            train(part, objectives=(baseline,), settings=settings, out=tmp_path / type(baseline).__name__ / name)
        first, second = (
            (tmp_path / type(baseline).__name__ / each / "model" / "model.safetensors").read_bytes()
            for each in ("one", "other")
        )
        assert (first == second) == same


@pytest.mark.parametrize(
    ("changes", "arguments", "words"),
    [
        (
            {},
            {"objectives": (LogisticRegression(), Supervised())},
            "LogisticRegression is a baseline and has no loss to add",
        ),
        ({}, {"objectives": (LogisticRegression(), SelfTraining())}, "is a baseline and has no loss to add"),
        ({}, {"objectives": (LogisticRegression,)}, "give a tuple of objectives"),
        ({}, {"averaging": EMA()}, "LogisticRegression takes no step, so no weights can be averaged"),
        ({"unlabeled": ()}, {"objectives": (SelfTraining(),)}, "there are no unlabeled texts"),
        ({"labeled": Rows(("the film",), (0,))}, {}, "no text of class 'good' has a label"),
    ],
)
def test_what_is_refused(split, settings, changes, arguments, words, tmp_path):
    given = {"objectives": (LogisticRegression(),)} | arguments
    with pytest.raises(SettingsError, match=words):
        train(replace(split, **changes), settings=settings, out=tmp_path / "run", **given)
    assert not (tmp_path / "run").exists()


def test_an_encoder_whose_head_cannot_be_one_layer(split, settings, tmp_path, monkeypatch):
    monkeypatch.setattr("text_uda.training.fit_baseline.can_be_linear", lambda _model: False)
    with pytest.raises(SettingsError, match="the head of a 'bert' model cannot be one linear layer"):
        train(split, objectives=(LogisticRegression(),), settings=settings, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_features_without_columns_are_not_copied(split, settings, tmp_path, monkeypatch):
    """Of a million unlabeled texts they take 1.5 GB."""
    encoded, read, rows_of, fit = [], [], FrozenEncoder.rows, SelfTraining.fit

    def rows_once(self, texts, **named):
        encoded.append(rows_of(self, texts, **named))
        return encoded[-1]

    def fit_once(self, features, labels, unlabeled, **named):
        read.extend((features, unlabeled))
        return fit(self, features, labels, unlabeled, **named)

    monkeypatch.setattr(FrozenEncoder, "rows", rows_once)
    monkeypatch.setattr(SelfTraining, "fit", fit_once)
    train(split, objectives=(SelfTraining(),), settings=settings, out=tmp_path / "run")
    assert len(read) == 2
    for inputs in read:
        assert any(np.shares_memory(inputs, rows.values.numpy()) for rows in encoded)
