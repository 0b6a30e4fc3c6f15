"""The model card: valid front matter, figures of result.json, and text from data that means nothing but itself."""

import copy
import json

import pytest
from huggingface_hub import ModelCard

from text_uda import LogisticRegression, TrainSettings, load, split, train
from text_uda.runs.directory import RunDirectory
from text_uda.runs.intervals import wilson_interval
from text_uda.runs.model_card import model_card

NAMES = ("a|b: *x*\n---", "<script>alert(1)</script>", "[l](http://e.com) {{x}} 'q\"")


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_bert):
    """A finished run with its refit, on data with names as data sets have them."""
    folder = tmp_path_factory.mktemp("card")
    file = folder / 'we: ird - "x" #1.jsonl'
    rows = [{"text": f"film number {n} was {'abc'[n % 3]}", "label": NAMES[n % 3]} for n in range(60)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = TrainSettings(encoder=str(tiny_bert), tune="head", max_tokens=48)
    parts = split(load(file), labels=9, seed=0)
    for name in ("run", "again"):
        train(parts, objectives=(LogisticRegression(),), settings=settings, out=folder / name, refit=True)
    return RunDirectory(folder / "run")


def card(directory):
    return (directory.model / "README.md").read_text("utf-8")


def test_the_front_matter_is_what_a_hub_reads(run):
    data = ModelCard(card(run)).data
    assert (data.library_name, data.pipeline_tag) == ("transformers", "text-classification")
    accuracy, f1 = data.eval_results
    assert (accuracy.dataset_name, accuracy.metric_type, f1.metric_type) == ('we: ird - "x" #1', "accuracy", "f1")
    assert accuracy.metric_value == pytest.approx(1 - run.result()["test_error"] / 100, abs=1e-6)
    assert "base_model" not in data.to_dict() and "license" not in data.to_dict()


def test_what_made_it_and_how_good_it_is(run):
    text, config, result = card(run), run.config(), run.result()
    assert config["data"]["digest"] in text and "9 labeled (balanced)" in text
    assert f"{result['calibration']['error']:.1f} percentage points" in text
    assert "of a text of more\nthan 48 tokens, the model reads the last 48" in text.lower()
    assert "LogisticRegression" in text and 'pipeline("text-classification"' in text and "text-uda predict" in text
    refit = card(RunDirectory(run.path / "refit"))
    assert "A refit" in refit and "labeled (all labels)" in refit and " dev |" not in refit


def test_an_interval_by_hand():
    """Wilson 1927: 10 errors of 40 rows, z = 1.96: (0.25 + 0.048 +- 0.1421) / 1.09604."""
    assert wilson_interval(10, 40) == pytest.approx((14.19, 40.19), abs=0.01)
    low, high = wilson_interval(0, 12)
    assert low == 0.0 and high == pytest.approx(24.25, abs=0.01)


def test_text_of_the_data_means_nothing_but_itself(run):
    body = card(run).split("\n---\n", 1)[1]
    assert "<script>" not in body and "&lt;script&gt;" in body
    assert r"a\|b\: \*x\*\\n---" in body and r"\[l\](http\://e.com) \{\{x\}\}" in body
    table = body.split("## Classes\n\n")[1].split("\n\n")[0].splitlines()
    assert len(table) == 5 and all(len(line.replace(r"\|", "").split("|")) == 8 for line in table)


def test_no_path_no_date_and_the_same_bytes_again(run, tiny_bert):
    again = RunDirectory(run.path.parent / "again")
    assert card(run) == card(again)
    assert str(run.path.parent) not in card(run) and str(tiny_bert.parent) not in card(run)


def test_a_class_that_is_never_predicted_and_a_hub_id(run):
    config, result = copy.deepcopy(run.config()), copy.deepcopy(run.result())
    result["per_class"]["test"][0]["precision"] = None
    config["encoder"] = "google-bert/bert-base-uncased"
    text = model_card(config, result)
    assert " | none | " in text and ModelCard(text).data.base_model == "google-bert/bert-base-uncased"
