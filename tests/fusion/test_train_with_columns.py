"""Runs of rows with columns: every method, kill and resume, what they leave, evaluation and predictions."""

import json
import random
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import pipeline

from text_uda.augment.switchout import SwitchOut
from text_uda.cli.fusion_options import FusionChoice
from text_uda.data import Rows, load, split
from text_uda.data.evaluation_rows import file_rows
from text_uda.data.row_columns import NO_COLUMNS, OtherColumns, RowText
from text_uda.errors import DataError, SettingsError
from text_uda.fusion import Choose, ColumnsAlone, Early, Intermediate, Late, TextAlone
from text_uda.fusion.fitted_columns import FittedColumns, with_columns
from text_uda.fusion.fused_model import FittedFusion
from text_uda.keyed_random import keyed_generator
from text_uda.model.classifier import encode
from text_uda.model.inputs import Batch
from text_uda.model.joined_columns import ATTRIBUTE
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.pretrained import choose_trained_weights, load_classifier
from text_uda.model.tokenized import TokenRows
from text_uda.objectives import PRESETS, UDA, LogisticRegression, Supervised
from text_uda.objectives.weight_averaging import EMA, Averaged
from text_uda.runs.evaluation import evaluate
from text_uda.runs.predict_file import predict_file
from text_uda.runs.prediction import TrainedClassifier, predict
from text_uda.runs.pseudo_labels import pseudo_label
from text_uda.runs.run_columns import columns_read_by
from text_uda.training.settings import TrainSettings
from text_uda.training.step import Step
from text_uda.training.train_classifier import train

JOINED = [Early(), Intermediate(), Late()]
STEPPING = [name for name, preset in PRESETS.items() if preset.losses]
COLUMNS = {"numeric": "year", "categorical": "country"}


def films(rows: int = 200) -> pd.DataFrame:
    """The columns say the class, the text does not."""
    draw = random.Random(0)
    words = "the a film plot story actor scene was is very really movie".split()
    labels = [draw.choice(["new", "old"]) for _ in range(rows)]
    return pd.DataFrame(
        {
            "text": [" ".join(draw.choice(words) for _ in range(6)) for _ in labels],
            "label": labels,
            "year": [None if draw.random() < 0.1 else {"new": 2000, "old": 1950}[of] + draw.random() for of in labels],
            "country": [draw.choice({"new": ["es", "fr"], "old": ["us", "uk"]}[of]) for of in labels],
        }
    )


@pytest.fixture(scope="module")
def rows():
    return split(load(films(), **COLUMNS), labels=24, seed=0)


@pytest.fixture
def settings(tiny_bert):
    return TrainSettings(encoder=str(tiny_bert), tune="last:1", steps=8, labeled_batch=8, evaluate_every=4, seed=1)


@pytest.fixture
def supervised(rows, settings, tmp_path):
    def run(fusion, name="run", **changed):
        options = {"objectives": (Supervised(),), "settings": replace(settings, **changed)}
        return train(rows, **options, fusion=fusion, out=tmp_path / name)

    return run


@pytest.mark.parametrize("fusion", [Intermediate(column_dropout=0.3), Late()], ids=lambda fusion: fusion.name)
@pytest.mark.parametrize("name", STEPPING)
def test_every_method_trains_the_fusion(tiny_bert, name, fusion):
    columns = OtherColumns.named(numeric="year")
    texts = [RowText(f"the film {'is ' * (i % 3)}good", columns, [float(i)]) for i in range(10)]
    pretrained = load_classifier(str(tiny_bert), ["a", "b", "c"], seed=0)
    model = pretrained.model.train()
    choose_trained_weights(model, "all")
    plan = FittedFusion(fusion, FittedColumns.fit(texts))
    module = plan.attach(model, tune="all", seed=0)
    for weights in module.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    tokens, encoded = TokenRows(texts, pretrained.tokenizer, max_tokens=16), plan.columns.encode(texts)
    labeled, unlabeled = (with_columns(tokens.batch(part), encoded[part]) for part in (np.arange(4), np.arange(4, 10)))
    batch = Batch(labeled, torch.tensor([0, 1, 2, 1]), unlabeled, unlabeled, torch.arange(4), torch.arange(6))
    step = Step(model, PRESETS[name].objectives, steps=10, unlabeled=6, fusion=plan)
    with seeded_torch(3):
        result = step(batch, 6, 7, Averaged(model, EMA(), steps=10).model)
    result.loss.backward()
    assert result.loss.isfinite()
    assert any(weights.grad is not None and weights.grad.any() for weights in getattr(model, ATTRIBUTE).parameters())
    assert {"columns_loss", "text_loss"} & {*result.terms} == (
        {"columns_loss", "text_loss"} if fusion.name == "late" else set()
    )


@pytest.mark.parametrize(
    ("fusion", "tune"),
    [(Early(), "head"), (Early(), "last:1"), (Intermediate(), "all"), (Late(), "head"), (ColumnsAlone(), "head")],
    ids=lambda value: getattr(value, "name", value),
)
def test_it_learns_from_the_columns(supervised, fusion, tune):
    result = supervised(replace(fusion, learning_rate=0.03), tune=tune, steps=40, evaluate_every=40)
    assert result["test_error"] < 10
    assert result["modes"]["columns_shuffled"] > 30 and result["modes"]["text_shuffled"] < 10


def test_the_text_alone_learns_nothing_here(supervised):
    assert supervised(TextAlone(), tune="head", steps=40)["test_error"] > 25


def test_the_same_call_gives_the_same_bytes_also_after_a_kill(rows, settings, tmp_path, monkeypatch):
    settings = replace(settings, checkpoint_every=2)
    options = {"objectives": (Supervised(), UDA()), "augmentation": SwitchOut(tokenizer=settings.encoder)}
    fusion = Intermediate(column_dropout=0.2)
    whole = train(rows, **options, settings=settings, fusion=fusion, out=tmp_path / "whole")
    plain, calls = Step.forward, []

    def killed(self, *arguments):
        calls.append(0)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return plain(self, *arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Step, "forward", killed)
        train(rows, **options, settings=settings, fusion=fusion, out=tmp_path / "killed")
    assert list((tmp_path / "killed" / "checkpoints").iterdir())
    again = train(rows, **options, settings=settings, fusion=fusion, out=tmp_path / "killed")
    digests = [{name: of for name, of in run["model_files"].items() if name != "README.md"} for run in (whole, again)]
    assert digests[0] == digests[1] and "text_and_columns.safetensors" in digests[0]
    with pytest.raises(SettingsError, match="column_dropout"):
        train(rows, **options, settings=settings, fusion=Intermediate(), out=tmp_path / "killed")


def test_column_dropout_alone_makes_the_second_view(rows, settings, tmp_path):
    options = {"objectives": (Supervised(), UDA()), "settings": settings}
    with pytest.raises(SettingsError, match="consistency objective needs pairs"):
        train(rows, **options, fusion=Early(), out=tmp_path / "none")
    result = train(rows, **options, fusion=Early(column_dropout=0.5), out=tmp_path / "run")
    assert result["steps"] == 8


def test_evaluation_and_prediction_give_the_figures_of_the_run(supervised, rows, tmp_path):
    result = supervised(replace(Early(), learning_rate=0.03), tune="head", steps=20)
    run = tmp_path / "run"
    assert evaluate(run, rows.test)["test_error"] == pytest.approx(result["test_error"])
    order, labels = keyed_generator("columns of another row").permutation(len(rows.test)), np.array(rows.test.labels)
    mixed = [
        RowText(str(text), rows.columns, rows.test.texts[other].values)
        for text, other in zip(rows.test.texts, order, strict=True)
    ]
    predicted = np.array([rows.classes.index(answer["label"]) for answer in predict(run, mixed)])
    assert result["modes"]["columns_shuffled"] == pytest.approx(100 * (predicted != labels).mean())
    assert result["modes"]["text_shuffled"] == pytest.approx(100 * (predicted != labels[order]).mean())
    assert evaluate(run, rows.labeled)["seen_rows"]["labeled"] == len(rows.labeled)
    path, out = tmp_path / "films.csv", tmp_path / "out.csv"
    films().to_csv(path, index=False)
    assert columns_read_by(run) == rows.columns
    again = file_rows(path, rows.classes, part="test", others=columns_read_by(run)).rows
    assert {*again.texts} == {*rows.test.texts}  # the test fifth of training
    without = file_rows(path, rows.classes, part="test").rows  # of a run of the text: the same fifth
    assert {*without.texts} == {*map(str, rows.test.texts)}
    for bad, message in (
        (films().drop(columns="year"), r"has no column 'year'.* The run reads year, country beside the text"),
        (films().astype({"year": object}).assign(year="soon"), r"row 2: 'year' is 'soon', not a number; correct it$"),
    ):
        bad.to_csv(tmp_path / "bad.csv", index=False)
        with pytest.raises(DataError, match=message):
            file_rows(tmp_path / "bad.csv", rows.classes, part="test", others=columns_read_by(run))
    predict_file(run, path, out)
    from_file = pd.read_csv(out)["predicted_label"].tolist()
    records = films().astype(object).where(films().notna(), None).to_dict("records")
    assert [answer["label"] for answer in predict(run, records)] == from_file
    shuffled = films().assign(year=films()["year"].to_numpy()[::-1], country=films()["country"].to_numpy()[::-1])
    assert [answer["label"] for answer in predict(run, shuffled.to_dict("records"))] != from_file


@pytest.mark.parametrize("fusion", [TextAlone(), Late()], ids=lambda fusion: fusion.name)
def test_rows_are_seen_by_their_text_and_get_no_pseudo_label(supervised, rows, tmp_path, monkeypatch, fusion):
    supervised(fusion)
    run, out, calls = tmp_path / "run", tmp_path / "out.jsonl", []

    def load_by_name(_name, **options):
        calls.append({name: value for name, value in options.items() if name in ("numeric", "categorical") and value})
        return load(films(), **{name: value for name, value in options.items() if value})

    monkeypatch.setattr("text_uda.runs.pseudo_labels.load", load_by_name)
    result = pseudo_label(run, "owner/films", out, threshold=0)
    used = {*map(str, rows.labeled.texts), *map(str, rows.dev.texts)}
    answers = pd.read_json(out, lines=True)
    assert 0 < result["rows"] == len(answers) and not used & {*answers["text"]}
    assert result["labeled_rows"] == len(rows.labeled) + len(rows.dev)
    assert calls == [{} if fusion.name == "text" else {"numeric": ["year"], "categorical": ["country"]}]
    assert ("year" in answers) == (fusion.name != "text")
    labeled = Rows(tuple(map(str, rows.labeled.texts)), rows.labeled.labels)
    if fusion.name == "text":
        assert evaluate(run, labeled)["seen_rows"]["labeled"] == len(labeled)


def test_scalers_and_vocabularies_see_no_development_or_test_row(rows, settings, tmp_path):
    def extreme(side):
        texts = [RowText(str(text), rows.columns, [1e9, "mars"]) for text in side.texts]
        return Rows(tuple(texts), side.labels)

    hidden = replace(rows, dev=extreme(rows.dev), test=extreme(rows.test))
    for split_rows, name in ((rows, "plain"), (hidden, "hidden")):
        train(split_rows, objectives=(Supervised(),), settings=settings, fusion=Late(), out=tmp_path / name)
    columns = [(tmp_path / name / "model" / "columns.json").read_text("utf-8") for name in ("plain", "hidden")]
    assert columns[0] == columns[1] and "mars" not in columns[1]


def test_a_refit_of_averaged_weights_opens_again(rows, settings, tmp_path):
    out = tmp_path / "run"
    result = train(
        rows,
        objectives=(Supervised(), UDA()),
        augmentation=SwitchOut(tokenizer=settings.encoder),
        averaging=EMA(),
        settings=replace(settings, tokens_per_pass=32),
        fusion=Early(column_dropout=0.2, learning_rate=0.03),
        refit=True,
        out=out,
    )
    for run, figures in ((out, result), (out / "refit", result["refit"])):
        assert evaluate(run, rows.test)["confusion"] == figures["confusion"]
    assert evaluate(out / "refit", rows.dev)["seen_rows"]["labeled"] == len(rows.dev)


def test_a_model_folder_predicts_without_its_run(supervised, tmp_path):
    supervised(replace(Early(), learning_rate=0.03), max_tokens=5)
    records = films(20).astype(object).where(films(20).notna(), None).to_dict("records")
    expected = list(predict(tmp_path / "run", records))
    shutil.copytree(tmp_path / "run" / "model", tmp_path / "pushed")
    shutil.rmtree(tmp_path / "run")
    assert list(predict(tmp_path / "pushed", records)) == expected
    assert TrainedClassifier.open(tmp_path / "pushed").max_tokens == 5
    card = (tmp_path / "pushed" / "README.md").read_text("utf-8")
    assert 'predict(snapshot_download("MODEL"), rows)' in card


def test_vectors_of_another_length_and_the_field_of_the_text(settings, tmp_path):
    data = films().assign(image=[[float(i), 1.0] for i in range(200)])
    data["title"] = data["text"]
    parts = split(load(data, vector="image", text_column="title"), labels=24, seed=0)
    run, path = tmp_path / "run", tmp_path / "films.jsonl"
    train(parts, objectives=(Supervised(),), settings=replace(settings, steps=1), fusion=Late(), out=run)
    data.assign(image=[[1.0]] * 200).to_json(path, orient="records", lines=True)
    words = r"'image' has 1 numbers, and those in training have 2; the vectors of a column have one length"
    with pytest.raises(DataError, match=rf"films\.jsonl, row 1: {words}"):
        predict_file(run, path, tmp_path / "out.csv", text_column="title")
    row = {"title": "a film", "text": "another", "image": [1.0, 2.0]}
    answers = [next(predict(run, [row], text_column=name))["probability"] for name in ("title", "text")]
    assert answers[0] != answers[1]
    assert answers[0] == next(predict(run, [row | {"text": "a film"}], text_column="text"))["probability"]
    with pytest.raises(DataError, match=f"the row: {words}"):
        next(predict(run, [row | {"image": [1.0]}], text_column="title"))
    with pytest.raises(DataError, match=r"which field of the row is the text.*or give text_column="):
        next(predict(run, [{"name": "a film", "image": None}]))
    with pytest.raises(DataError, match=r"the row has no field 'name'; it has: title, text, image"):
        next(predict(run, [row], text_column="name"))


def test_options_of_the_command():
    choice = FusionChoice(fusion="late", fusion_learning_rate=0.03, column_dropout=0.1)
    assert choice.build() == Late(learning_rate=0.03, column_dropout=0.1)
    assert FusionChoice(fusion="choose", fusion_learning_rate=0.03).build() == Choose(learning_rate=0.03)
    assert FusionChoice(fusion="late").build() == Late() and FusionChoice().build() is None
    for fusion in ("text", None):
        with pytest.raises(SettingsError, match="--fusion-learning-rate needs --fusion early"):
            FusionChoice(fusion=fusion, fusion_learning_rate=0.03).build()


def test_a_folder_of_columns_answers_no_text_alone(supervised, rows, tmp_path):
    supervised(Early())
    run = tmp_path / "run"
    with pytest.raises(ValueError, match="text-with-columns"):
        pipeline("text-classification", model=str(run / "model"))
    with pytest.raises(SettingsError, match=r"row 1 \('a film'\) has no columns beside the text"):
        list(predict(run, ["a film"]))
    with pytest.raises(DataError, match=r"the row has no column 'country'; it has: text, year. The run reads"):
        list(predict(run, [{"text": "a film", "year": 2000}]))
    path = tmp_path / "films.csv"
    films().drop(columns="year").to_csv(path, index=False)
    with pytest.raises(DataError, match=r"films.csv has no column 'year'; .*The run reads year, country") as caught:
        predict_file(run, path, tmp_path / "out.csv")
    assert "\n" not in str(caught.value) and not (tmp_path / "out.csv").exists()
    films().astype({"year": object}).assign(year="soon").to_csv(path, index=False)
    with pytest.raises(DataError, match=r"films\.csv, row 2: 'year' is 'soon', not a number; correct it$"):
        predict_file(run, path, tmp_path / "out.csv")
    card = (run / "model" / "README.md").read_text("utf-8")
    assert "`pipeline` has no place for columns" in card and "year, country" in card


def test_the_text_alone_leaves_an_ordinary_folder(supervised, rows, tmp_path):
    supervised(TextAlone())
    classify = pipeline("text-classification", model=str(tmp_path / "run" / "model"))
    assert classify("a film")[0]["label"] in rows.classes
    assert json.loads((tmp_path / "run" / "config.json").read_text("utf-8"))["fusion"]["fusion"] == "text"
    assert next(iter(predict(tmp_path / "run", ["a film"])))["label"] in rows.classes
    assert columns_read_by(tmp_path / "run") == NO_COLUMNS


def test_what_cannot_be_is_refused(rows, settings, tmp_path):
    plain = split(load(films().drop_duplicates("text")), labels=24, seed=0)
    cases = [
        (rows, {"fusion": None}, r"have the columns year, country beside the text: say how they join it"),
        (plain, {"fusion": Early()}, "fusion=early: the rows of .* have no columns beside the text"),
        (
            rows,
            {"fusion": Early(), "objectives": (LogisticRegression(),)},
            r"LogisticRegression is a linear function of text and columns: give the fusion late \(of both\)",
        ),
    ]
    baseline = {"objectives": (LogisticRegression(),)}
    cases += [
        (
            rows,
            baseline | {"fusion": Late(column_dropout=0.2)},
            r"ignores column_dropout .*--column-dropout",
        ),
        (rows, baseline | {"fusion": ColumnsAlone(learning_rate=0.5)}, r"ignores learning_rate .*fusion-learning-rate"),
    ]
    for data, options, message in cases:
        with pytest.raises(SettingsError, match=message):
            train(data, **({"objectives": (Supervised(),)} | options), settings=settings, out=tmp_path / "run")
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("fusion", [Late(), ColumnsAlone()], ids=lambda fusion: fusion.name)
def test_a_baseline_reads_columns_beside_the_features(rows, settings, tmp_path, fusion):
    """It is scikit-learn's fit on both, each of mean norm 1, and the model that is kept answers as the fit."""
    from sklearn.linear_model import LogisticRegression as Fit

    out = tmp_path / "run"
    result = train(rows, objectives=(LogisticRegression(C=10.0),), settings=settings, fusion=fusion, out=out)
    classifier = TrainedClassifier.open(out)
    columns = FittedColumns.fit(rows.labeled.texts, rows.unlabeled)
    assert classifier.columns == columns

    def inputs(part):
        tokens = TokenRows(part.texts, classifier.tokenizer, max_tokens=settings.max_tokens)
        with torch.no_grad():
            features = encode(classifier.model, tokens.batch(range(len(part)))).numpy()
        return [features] * (fusion.name == "late") + [columns.encode(part.texts).numpy()]

    scales = [np.linalg.norm(part, axis=1).mean() for part in inputs(rows.labeled)]
    joined, test = (
        np.concatenate([part / scale for part, scale in zip(inputs(side), scales, strict=True)], axis=1)
        for side in (rows.labeled, rows.test)
    )
    scale = np.linalg.norm(joined, axis=1).mean()  # as the baseline divides whatever it reads
    fit = Fit(C=10.0, max_iter=10_000, tol=1e-6).fit(joined / scale, rows.labeled.labels)
    probabilities = classifier.probabilities(rows.test.texts)
    assert np.allclose(probabilities, fit.predict_proba(test / scale), atol=2e-3)
    assert result["test_error"] == pytest.approx(100 * (1 - fit.score(test / scale, rows.test.labels)))
    assert result["test_error"] < 20 and result["modes"]["columns_shuffled"] > 30


@pytest.mark.parametrize(
    ("fusion", "baseline"), [(Early(), Late()), (ColumnsAlone(), ColumnsAlone())], ids=["both", "columns"]
)
def test_the_reference_on_the_labels_reads_the_columns_too(rows, settings, tmp_path, fusion, baseline):
    """It is the run of a baseline on the same inputs; the text alone would be held against nothing here."""

    def run(objectives, joined):
        name = f"{len(objectives)}-{joined.name}"
        return train(rows, objectives=objectives, settings=settings, fusion=joined, out=tmp_path / name)

    reference = run((Supervised(), UDA()), replace(fusion, column_dropout=0.1))["baseline"]
    alone = run((LogisticRegression(),), baseline)
    words = "columns alone" if baseline.name == "columns" else "late fusion"
    assert reference == {"method": f"logistic regression, {words}", "dev_error": alone["dev_error"]}
    assert reference["dev_error"] < 20 < run((LogisticRegression(),), TextAlone())["dev_error"]


def test_pretraining_reads_texts_alone(tiny_bert, tmp_path):
    from text_uda.training.pretraining import PretrainSettings, pretrain

    with pytest.raises(SettingsError, match="masked words are predicted from the text alone"):
        pretrain(load(films(), **COLUMNS), settings=PretrainSettings(encoder=str(tiny_bert)), out=tmp_path / "run")


def test_several_tasks_have_no_columns(rows, settings, tmp_path):
    from text_uda.tasks.train_tasks import train_tasks

    with pytest.raises(SettingsError, match="task 'films' has columns beside the text"):
        train_tasks({"films": rows}, objectives=(Supervised(),), settings=settings, out=tmp_path / "run")
