"""The rate and the penalty of the head, and a run that an earlier version began with another head."""

import json
import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from transformers import AutoModel

from text_uda.data import Rows, Split
from text_uda.errors import SettingsError
from text_uda.model.classifier import encode
from text_uda.model.inputs import Tokens
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.linear_head import is_linear, last_layer
from text_uda.model.pretrained import load_classifier
from text_uda.objectives import UDA, FlexMatch, FreeMatch, SoftMatch, Supervised
from text_uda.runs.decisive_settings import objectives_in_full, settings_in_full
from text_uda.training.fine_tuning import FineTuning
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train

WORDS = ("good", "great", "fine", "best", "bad", "poor", "dull", "worst")


@pytest.fixture(scope="module")
def split() -> Split:
    def rows(frame: str) -> Rows:
        return Rows(tuple(frame.format(word) for word in WORDS), (1, 1, 1, 1, 0, 0, 0, 0))

    return Split("test", ("bad", "good"), rows("the {}"), (), rows("{} it was"), rows("so {}"), "0" * 32)


@pytest.fixture(scope="module")
def settings(tiny_bert: Path) -> TrainSettings:
    return TrainSettings(encoder=str(tiny_bert), steps=6, labeled_batch=4, evaluate_every=3, dropout=0.0)


@pytest.fixture(scope="module")
def sentence_encoder(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sentences") / "encoder"
    shutil.copytree(tiny_bert, path)
    (path / "1_Pooling").mkdir()
    (path / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    return path


@pytest.mark.parametrize(
    ("tune", "averages", "given", "expected"),
    [
        ("all", False, None, 1e-4),
        ("all", False, 3e-3, 3e-3),
        ("last:1", False, 3e-3, 3e-3),
        ("last:1", True, None, 1e-2),  # a linear head has 100 times the rate
        ("last:1", True, 3e-3, 3e-3),
        ("head", False, None, 1e-4),
    ],
)
def test_the_rate_of_the_head(
    tune, averages, given, expected, split, settings, sentence_encoder, tmp_path, monkeypatch
):
    """Of each weight in the second of six steps, of which one is warm-up: 1e-4 but for the head."""
    update, rates = FineTuning.update, {}

    def watched(self, step, batch):
        result = update(self, step, batch)
        names = {parameter: name for name, parameter in self.module.model.named_parameters()}
        if step == 1:
            rates.update((names[p], group["lr"]) for group in self.optimizer.param_groups for p in group["params"])
        return result

    monkeypatch.setattr(FineTuning, "update", watched)
    encoder = str(sentence_encoder) if averages else settings.encoder
    one = replace(settings, encoder=encoder, tune=tune, warmup_steps=1, layer_decay=1.0)
    one = replace(one, learning_rate=1e-4, head_learning_rate=given)
    train(split, objectives=(Supervised(),), settings=one, out=tmp_path / "run")
    heads = {name for name in rates if name.startswith("classifier.")}
    assert [rates[name] for name in heads] == pytest.approx([expected] * 2)
    assert all(rate == pytest.approx(1e-4) for name, rate in rates.items() if name not in heads)
    assert (rates.keys() == heads) == (tune == "head")


@pytest.fixture(scope="module")
def telling(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder whose features tell texts apart, unlike those of a new one."""
    path = tmp_path_factory.mktemp("telling") / "encoder"
    shutil.copytree(tiny_bert, path)
    with seeded_torch(3), torch.no_grad():
        model = AutoModel.from_pretrained(path)
        for name, parameter in model.named_parameters():
            if "LayerNorm" not in name:
                parameter.normal_(0, 0.4)
        model.save_pretrained(path)
    return path


def test_a_head_becomes_the_logistic_regression_of_scikit_learn(split, settings, telling, tmp_path):
    """Of three classes, C = 1, on features divided by the root of their width, which are those that the head acts on;
    all rows are in each step."""
    rows = Rows(split.labeled.texts, (0, 1, 2, 2, 1, 0, 1, 2))
    three = replace(split, classes=("a", "b", "c"), labeled=rows, dev=rows, test=rows)
    one = TrainSettings(
        encoder=str(telling),
        tune="head",
        steps=1200,
        labeled_batch=8,
        schedule="cosine",
        select_by="last",
        evaluate_every=1200,
        log_every=400,
        dropout=0.0,
    )
    train(three, objectives=(Supervised(),), settings=one, out=tmp_path / "run")
    with torch.no_grad():
        made = load_classifier(one.encoder, three.classes, seed=0)
        tokens = made.tokenizer(list(rows.texts), padding=True, return_tensors="pt")
        features = encode(made.model.eval(), Tokens(tokens["input_ids"], tokens["attention_mask"])) / math.sqrt(32)
        trained = load_classifier(str(tmp_path / "run" / "model"), three.classes, seed=0).model
    weight, bias = last_layer(trained).weight.detach().numpy(), last_layer(trained).bias.detach().numpy()
    expected = LogisticRegression(C=1.0, tol=1e-8, max_iter=10_000).fit(features.numpy(), rows.labels)
    np.testing.assert_allclose(weight, expected.coef_, atol=2e-3)
    np.testing.assert_allclose(bias - bias.mean(), expected.intercept_ - expected.intercept_.mean(), atol=2e-3)
    for other in (0.5, 2.0):
        far = LogisticRegression(C=other, tol=1e-8, max_iter=10_000).fit(features.numpy(), rows.labels)
        assert np.abs(far.coef_ - expected.coef_).max() > 0.05


def test_what_the_penalty_is_by_default():
    """1/n of a head alone, as C = 1; none beside an encoder that is trained."""
    assert TrainSettings(tune="head").penalty(40) == 1 / 40 and TrainSettings(tune="last:1").penalty(40) == 0
    assert TrainSettings(tune="all", head_penalty=0.1).penalty(40) == 0.1
    assert TrainSettings(tune="head", head_penalty=0.0).penalty(40) == 0


# What a version before linear heads did not write.
LATER = ("select_by", "head_learning_rate", "schedule", "head_penalty", "patience")


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("tune", "averages", "same"), [("all", False, True), ("last:1", True, False), ("head", False, False)]
)
def test_a_run_of_an_earlier_version_with_another_head_is_refused(
    tune, averages, same, finished, split, settings, sentence_encoder, tmp_path
):
    one = replace(settings, tune=tune, encoder=str(sentence_encoder) if averages else settings.encoder)
    one = replace(one, learning_rate=2e-5, warmup_steps=0, layer_decay=1.0)
    call = {"objectives": (Supervised(),), "settings": one, "out": tmp_path / "run"}
    done = train(split, **call)
    file = tmp_path / "run" / "config.json"
    config = json.loads(file.read_text())
    config["settings"] = {name: value for name, value in config["settings"].items() if name not in LATER}
    config["settings"]["learning_rate"] = None  # 2e-5 at the time
    config["objectives"] = [{"objective": "Supervised", "tsa": None}]
    file.write_text(json.dumps(config))
    if not finished:
        (tmp_path / "run" / "result.json").unlink()
    if same:
        assert train(split, **call)["test_error"] == done["test_error"]
        (tmp_path / "run" / "result.json").unlink()
        with pytest.raises(SettingsError, match=r"\nschedule: linear in the run, cosine now$"):
            train(split, **call | {"settings": replace(one, schedule="cosine")})
        with pytest.raises(SettingsError, match=r"\nlearning_rate: 2e-05 in the run, not set now$"):
            train(split, **call | {"settings": replace(one, learning_rate=None)})
        return
    with pytest.raises(SettingsError, match="of a run of an earlier version, whose head is not linear"):
        train(split, **call)
    assert train(split, **call, resume=False)["test_error"] == done["test_error"]
    assert train(split, **call)["test_error"] == done["test_error"]


def test_objectives_of_an_earlier_version_in_full():
    """As that version wrote them, beside what they are today."""

    def full(*objectives):
        return objectives_in_full({"objectives": [{"objective": type(o).__name__} | asdict(o) for o in objectives]})

    supervised = {"objective": "Supervised", "tsa": "log"}
    uda = {name: value for name, value in full(UDA())[0].items() if name != "alignment"}
    for aligned, alignment in ((False, None), (True, "uniform")):
        earlier = {"objectives": [supervised, uda | {"distribution_alignment": aligned}]}
        assert objectives_in_full(earlier) == full(Supervised(tsa="log"), UDA(alignment=alignment))
        assert "distribution_alignment" in earlier["objectives"][1], "what was read stays as it was"
    for kind, name in ((FlexMatch, "prior"), (FreeMatch, "prior"), (SoftMatch, "alignment")):
        (today,) = full(kind())
        assert objectives_in_full({"objectives": [{n: v for n, v in today.items() if n != name}]}) == [today]


def test_a_penalty_of_a_head_that_is_not_linear_is_refused(split, settings, tmp_path):
    one = replace(settings, head_penalty=0.1)
    with pytest.raises(SettingsError, match="head_penalty needs a linear head"):
        train(split, objectives=(Supervised(),), settings=one, out=tmp_path / "run")


def test_an_encoder_out_of_a_run_with_a_linear_head_gets_a_linear_head(split, settings, tmp_path):
    """Such as one that was pretrained further: its pooler is the saved form's, which divides all it reads by 4,096."""
    train(split, objectives=(Supervised(),), settings=replace(settings, tune="head"), out=tmp_path / "run")
    model, encoder = tmp_path / "run" / "model", tmp_path / "encoder"
    shutil.copytree(model, encoder)
    AutoModel.from_pretrained(model).save_pretrained(encoder)
    assert is_linear(load_classifier(str(encoder), ("a", "b", "c"), seed=0).model)
    assert not is_linear(load_classifier(settings.encoder, ("a", "b", "c"), seed=0).model)


def test_settings_that_say_the_same_are_the_same():
    """Where nothing is given, and what comes to it."""

    def full(**settings):
        return settings_in_full({"settings": asdict(TrainSettings(steps=50, **settings))})

    assert full(tune="last:2") == full(tune="last:2", warmup_steps=5, layer_decay=1.0)
    assert full(tune="head") == full(tune="head", warmup_steps=0, layer_decay=1.0)
    assert full(tune="all") == full(tune="all", warmup_steps=5) != full(tune="all", layer_decay=1.0)
    assert full(tune="last:2") != full(tune="last:2", warmup_steps=0)
    assert settings_in_full({"settings": {"seed": 1}})["select_by"] == "error"
