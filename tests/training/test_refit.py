"""After choosing, a model of every label: what it trains on, how long, what is said of it, and that it survives."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import pipeline

from text_uda.augment.cutoff import Cutoff
from text_uda.data import Corpus, Rows, Split
from text_uda.data import split as draw
from text_uda.data.splitting import all_labels
from text_uda.errors import SettingsError
from text_uda.objectives import UDA, LogisticRegression, SelfTraining, Supervised
from text_uda.objectives.weight_averaging import EMA
from text_uda.report import read
from text_uda.runs.evaluation import evaluate
from text_uda.runs.prediction import predict
from text_uda.training.metrics import MACHINE_METRICS
from text_uda.training.settings import TrainSettings
from text_uda.training.step import Step
from text_uda.training.stop_signals import Interrupted
from text_uda.training.train_classifier import train

WORDS = ("good", "great", "fine", "best", "bad", "poor", "dull", "worst")


def rows(frame: str) -> Rows:
    return Rows(tuple(frame.format(word) for word in WORDS), tuple(int(place < 4) for place in range(len(WORDS))))


@pytest.fixture(scope="module")
def split() -> Split:
    unlabeled = rows("this movie is very {}").texts
    return Split(*("test", ("bad", "good"), rows("the {}"), unlabeled, rows("{} it was"), rows("so {}"), "0" * 32))


@pytest.fixture(scope="module")
def settings(tiny_bert: Path) -> TrainSettings:
    return TrainSettings(
        encoder=str(tiny_bert),
        steps=9,
        labeled_batch=4,
        learning_rate=1e-3,
        evaluate_every=3,
        checkpoint_every=2,
        log_every=1,
        max_tokens=16,
    )


@pytest.fixture
def chosen_at_six(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's best step is its 6th of 9, whatever the weights say."""
    from text_uda.training.fine_tuning import FineTuning

    judged = FineTuning._dev_evaluation

    def by_step(self, model):
        evaluation = judged(self, model)
        self.looks = getattr(self, "looks", 0) + 1
        return evaluation and replace(evaluation, error=(50.0, 20.0, 30.0)[self.looks - 1])

    monkeypatch.setattr(FineTuning, "_dev_evaluation", by_step)


def lines(run: Path) -> list[dict]:
    """Its metrics, but for those that another machine has otherwise."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in record.items() if name not in MACHINE_METRICS} for record in records]


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


def decided(result: dict) -> dict:
    return {name: value for name, value in result.items() if name not in ("seconds", "cpu_seconds", "run", "refit")}


UNLABELED = {"objectives": (Supervised(), UDA()), "augmentation": Cutoff(kind="feature", rate=0.3)}


@pytest.mark.usefixtures("chosen_at_six")
@pytest.mark.parametrize(
    "more", [{"objectives": (Supervised(),)}, UNLABELED, UNLABELED | {"averaging": EMA(decay=0.5)}]
)
def test_every_label_for_as_many_steps_as_chose(split, settings, more, tmp_path, monkeypatch):
    train(split, **more, settings=settings, out=tmp_path / "alone")
    seen, forward = [], Step.forward

    def spy(self, batch, *others):
        seen.append(batch.labeled_rows.tolist())
        return forward(self, batch, *others)

    with monkeypatch.context() as patch:
        patch.setattr(Step, "forward", spy)
        result = train(split, **more, settings=settings, out=tmp_path / "run", refit=True)
    run, refit = tmp_path / "run", tmp_path / "run" / "refit"
    own = result["refit"]
    assert result["best_step"] == 6 and decided(result) == decided(json.loads((run / "result.json").read_text()))
    assert weights(run) == weights(tmp_path / "alone") and lines(run) == lines(tmp_path / "alone"), "and unchanged"
    assert own == json.loads((refit / "result.json").read_text())
    assert (own["steps"], own["best_step"], own["selected_by"], own["dev_rows"], own["baseline"]) == (
        *(6, 6, "last", 0, None),
    )
    for name in ("error", "macro_f1", "balanced_error"):
        assert own[f"dev_{name}"] is own[f"last_dev_{name}"] is None
    assert own["test_error"] == own["last_test_error"] and own["per_class"]["dev"] is None
    assert len(seen) == 9 + 6 and {row for step in seen[9:] for row in step} == set(range(16)), "labeled and dev rows"
    rates = [record["learning_rate"] for record in lines(run)[:6] if record["kind"] == "train"]
    again = [record["learning_rate"] for record in lines(refit) if record["kind"] == "train"]
    assert again[: len(rates)] == rates and len(again) == 6 and again[-1] > 0, "the schedule is that of nine steps"
    assert all(record["kind"] == "train" for record in lines(refit)) and not (refit / "checkpoints").exists()
    config = json.loads((refit / "config.json").read_text())
    first = json.loads((run / "config.json").read_text())
    assert (
        config["refit_of"] == {"digest": split.digest, "steps": 6, "label_share": [0.5, 0.5]}
        and "refit_of" not in first
    )
    assert (config["method"], config["name"]) == (f"{first['method']}, refit", f"{first['name']}, refit")
    assert config["settings"] == first["settings"] == asdict(settings) and config["objectives"] == first["objectives"]
    assert (config["labels"], config["data"]["dev"], config["steps"]) == (16, 0, 6)
    assert config["data"]["digest"] == all_labels(split).digest != split.digest
    assert config["data"]["test_digest"] == split.test_digest


@pytest.mark.parametrize("tune", ["all", "head"])
def test_it_is_used_like_any_run(split, settings, tune, tmp_path):
    settings = replace(settings, tune=tune)
    own = train(split, objectives=(Supervised(),), settings=settings, out=tmp_path / "run", refit=True)["refit"]
    refit = tmp_path / "run" / "refit"
    assert evaluate(refit, split.test)["test_error"] == own["test_error"]
    told = pipeline("text-classification", str(refit / "model"))(list(split.test.texts))
    assert [each["label"] for each in told] == [each["label"] for each in predict(refit, split.test.texts)]
    assert weights(refit) != weights(tmp_path / "run")


def test_development_rows_are_trained_on(split, settings, tmp_path):
    """With labels that the first run's rows say nothing of."""
    turned = replace(split, dev=Rows(split.dev.texts, tuple(1 - label for label in split.dev.labels)))
    for name, part in {"as they are": split, "turned": turned}.items():
        train(part, objectives=(Supervised(),), settings=settings, out=tmp_path / name, refit=True)
    one, other = (
        load_file(tmp_path / name / "refit" / "model" / "model.safetensors") for name in ("as they are", "turned")
    )
    assert any(not torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("tune", ["all", "head"])
def test_priors_and_class_weights_are_those_of_the_run(split, settings, tune, tmp_path, monkeypatch):
    """Of development rows that were drawn in proportion from skewed classes: the labeled ones are balanced."""
    keep = (0, 4, 5, 6, 7)
    skewed = replace(split, dev=Rows(tuple(split.dev.texts[n] for n in keep), (1, 0, 0, 0, 0)))
    assert all_labels(skewed).labels_per_class == [8, 5]
    states, initial = [], Step.__init__

    def spy(self, *arguments, **named):
        initial(self, *arguments, **named)
        states.append({name: value.clone() for name, value in self.named_buffers() if name.startswith("objective_")})

    monkeypatch.setattr(Step, "__init__", spy)
    call: dict[str, Any] = UNLABELED | {"objectives": (Supervised(class_weights="balanced"), UDA(alignment="labels"))}
    if tune == "head":
        call = {"objectives": (Supervised(class_weights="balanced"),)}
    train(skewed, **call, settings=replace(settings, tune=tune), out=tmp_path / "run", refit=True)
    first, second = states
    assert first and first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    config = json.loads((tmp_path / "run" / "refit" / "config.json").read_text())
    assert config["refit_of"]["label_share"] == [0.5, 0.5] and config["data"]["labels_per_class"] == [8, 5]


@pytest.mark.parametrize("baseline", [LogisticRegression(), SelfTraining(rounds=1)])
def test_a_baseline_is_fitted_again(split, settings, baseline, tmp_path):
    own = train(split, objectives=(baseline,), settings=settings, out=tmp_path / "run", refit=True)["refit"]
    assert (own["dev_error"], own["steps"], own["best_step"]) == (None, 0, 0)
    train(all_labels(split), objectives=(baseline,), settings=settings, out=tmp_path / "other")
    assert weights(tmp_path / "run" / "refit") == weights(tmp_path / "other") != weights(tmp_path / "run")
    assert lines(tmp_path / "run" / "refit") == []


@pytest.mark.usefixtures("chosen_at_six")
@pytest.mark.parametrize("at", [4, 9, 12])
def test_killed_at_any_time_it_goes_on_to_the_same_bytes(split, settings, at, tmp_path, monkeypatch):
    """In the first run, between the two, in the second."""
    call = {"settings": settings, "refit": True} | UNLABELED
    whole = train(split, **call, out=tmp_path / "whole")
    forward, done = Step.forward, []

    def killed(self, *arguments):
        if len(done) == at:
            raise KeyboardInterrupt
        done.append(1)
        return forward(self, *arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Step, "forward", killed)
        train(split, **call, out=tmp_path / "killed")
    assert (tmp_path / "killed" / "result.json").exists() == (at >= 9)
    if at == 4:  # the step that is judged is counted from where it goes on
        monkeypatch.setattr("text_uda.training.fine_tuning.FineTuning.looks", 1, raising=False)
    again = train(split, **call, out=tmp_path / "killed")
    assert decided(again) == decided(whole) and decided(again["refit"]) == decided(whole["refit"])
    for run in ("", "refit"):
        assert weights(tmp_path / "killed" / run) == weights(tmp_path / "whole" / run)
        assert lines(tmp_path / "killed" / run) == lines(tmp_path / "whole" / run)


def test_a_run_that_is_finished_gets_its_refit_later_and_a_finished_one_is_read(split, settings, tmp_path, monkeypatch):
    call = {"objectives": (Supervised(),), "settings": settings, "out": tmp_path / "run"}
    assert "refit" not in train(split, **call) and not (tmp_path / "run" / "refit").exists()
    before = weights(tmp_path / "run")
    own = train(split, **call, refit=True)["refit"]
    assert weights(tmp_path / "run") == before
    monkeypatch.setattr(Step, "forward", None)
    assert train(split, **call, refit=True)["refit"] == own


def test_its_passes_are_in_the_numbers_of_the_run(split, settings, tmp_path):
    """Which may have been measured elsewhere."""
    call = {"objectives": (Supervised(),), "settings": settings, "out": tmp_path / "run"}
    train(split, **call)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["machine"]["precision"] = "bf16" if config["machine"]["precision"] == "fp32" else "fp32"
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    train(split, **call, refit=True)
    assert json.loads((tmp_path / "run" / "refit" / "config.json").read_text())["machine"] == config["machine"]


def test_its_time_is_that_of_both(split, settings, tmp_path):
    call = {"objectives": (Supervised(),), "settings": settings, "out": tmp_path / "run"}
    train(split, **call)
    with pytest.raises(Interrupted, match=r"stopped after step 1 of \d \(.*refit holds a checkpoint"):
        train(split, **call, refit=True, max_minutes=1e-7)
    assert train(split, **call, refit=True)["refit"]["dev_error"] is None


def test_without_resuming_both_begin_anew(split, settings, tmp_path):
    call = {"objectives": (Supervised(),), "out": tmp_path / "run", "refit": True}
    train(split, **call, settings=settings)
    other = train(split, **call, settings=replace(settings, seed=1), resume=False)
    assert json.loads((tmp_path / "run" / "refit" / "config.json").read_text())["seed"] == 1
    assert other["refit"]["run"] == str(tmp_path / "run" / "refit")


def test_where_there_is_nothing_to_add_it_is_refused_before_anything_is_written(split, settings, tmp_path):
    bare = replace(split, dev=Rows((), ()))
    with pytest.raises(
        SettingsError, match="refit adds the labels of the development rows, and this split of test has"
    ):
        train(bare, objectives=(Supervised(),), settings=settings, out=tmp_path / "run", refit=True)
    assert not (tmp_path / "run").exists()


def test_a_split_of_every_label():
    texts = tuple(f"text {number}" for number in range(40))
    of_its_own = Rows(("checked one", "checked two"), (0, 1))
    train_side = Rows(texts, tuple(number % 2 for number in range(40)))
    for dev in (None, of_its_own):
        corpus = Corpus("own", "", ("a", "b"), train_side, Rows(("test",), (0,)), dev=dev)
        one = draw(corpus, labels=8, seed=0)
        every = all_labels(one)
        assert every.labeled.texts == (*one.labeled.texts, *one.dev.texts)
        assert every.labeled.labels == (*one.labeled.labels, *one.dev.labels)
        assert len(every.dev) == 0 and len(one.dev) > 0
        assert (every.unlabeled, every.test, every.label_sampling) == (one.unlabeled, one.test, None)
        assert every.digest != one.digest and every.digest == all_labels(draw(corpus, labels=8, seed=0)).digest


def test_a_report_of_a_folder_leaves_it_out_and_one_of_its_own_shows_it(split, settings, tmp_path):
    pytest.importorskip("jinja2")
    for seed in (0, 1):
        call = {"objectives": (Supervised(),), "settings": replace(settings, seed=seed), "refit": True}
        labels = (*split.labeled.labels[:-1], seed)  # a class has one more, which the seed decides
        drawn = replace(split, labeled=Rows(split.labeled.texts, labels), digest=f"{seed}" * 32)
        train(drawn, **call, out=tmp_path / f"run-{seed}")
    runs = [tmp_path / f"run-{seed}" for seed in (0, 1)]
    for named in ([tmp_path], runs):
        report = read(named)
        assert report.runs == runs and not report.left_out and [len(one.groups) for one in report.comparisons] == [1]
    refits = [run / "refit" for run in runs]
    both = read([*runs, *refits])
    groups = [group for one in both.comparisons for group in one.groups]
    assert sorted(group.label for group in groups) == ["labels alone", "none, refit"]
    assert all(group.seeds == [0, 1] for group in groups)
    table = read(refits).markdown()
    assert "none, refit" in table and "the last step" in table
    assert "none, refit" in read(refits).page(tmp_path / "report.html").read_text()
