"""What a run can be told beside its settings of the method: time, memory, compilation, where its metrics go."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.tracking import LOGGER_TYPE_TO_CLASS
from safetensors.torch import load_file

from text_uda.augment.cutoff import Cutoff
from text_uda.data import Rows, Split
from text_uda.errors import MissingPartError, SettingsError
from text_uda.model.compiled_layers import compile_layers
from text_uda.objectives import UDA, FixMatch, Supervised
from text_uda.objectives.schedules import SCHEDULES
from text_uda.training import checkpoint
from text_uda.training.metrics import MACHINE_METRICS
from text_uda.training.settings import TrainSettings
from text_uda.training.step import Step
from text_uda.training.stop_signals import Interrupted
from text_uda.training.train_classifier import train

WORDS = ("good", "great", "fine", "best", "bad", "poor", "dull", "worst")


@pytest.fixture(scope="module")
def split() -> Split:
    def rows(frame: str) -> Rows:
        return Rows(tuple(frame.format(word) for word in WORDS), tuple(int(place < 4) for place in range(len(WORDS))))

    unlabeled = rows("this movie is very {} and the plot that it has is not so").texts
    return Split("test", ("bad", "good"), rows("the {}"), unlabeled, rows("{} it was"), rows("so {}"), "0" * 32)


@pytest.fixture(scope="module")
def settings(tiny_bert: Path) -> TrainSettings:
    return TrainSettings(
        encoder=str(tiny_bert), steps=6, labeled_batch=4, evaluate_every=3, checkpoint_every=4, log_every=1, dropout=0.0
    )


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


def metrics_of(folder: Path, kind: str = "train") -> list[dict]:
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [record for record in records if record["kind"] == kind]


def run(split, settings, out, **more):
    """Of the plain loss unless told otherwise: no row is below its threshold."""
    given = {"objectives": (Supervised(), UDA()), "augmentation": Cutoff(kind="feature", rate=0.3)} | more
    return train(split, settings=settings, out=out, **given)


def test_passes_of_a_few_tokens_come_to_the_same_weights(split, settings, tmp_path):
    run(split, settings, tmp_path / "whole")
    run(split, replace(settings, tokens_per_pass=40), tmp_path / "parts")
    parts = weights_of(tmp_path / "parts")
    for name, value in weights_of(tmp_path / "whole").items():
        torch.testing.assert_close(parts[name], value, atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # dynamo looks at it
def test_compiled_layers_come_to_the_same_weights_and_the_teacher_is_its_own(split, settings, tmp_path, monkeypatch):
    """By dynamo's tracing alone; the machine code of inductor takes minutes and is measured in the benchmark."""
    from text_uda.objectives.weight_averaging import EMA

    compiled = []

    def traced(own, *, graphs):
        assert not graphs
        compiled.extend(own)
        compile_layers(own, backend="eager")

    monkeypatch.setattr("text_uda.training.classifier_task.compile_layers", traced)
    run(split, settings, tmp_path / "plain", averaging=EMA(decay=0.9))
    run(split, replace(settings, compile=True), tmp_path / "compiled", averaging=EMA(decay=0.9))
    assert len(compiled) == 2
    found = weights_of(tmp_path / "compiled")
    for name, value in weights_of(tmp_path / "plain").items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=1e-5, msg=name)


def test_a_run_whose_time_is_over_goes_on_to_the_same_bytes(split, settings, tmp_path):
    run(split, settings, tmp_path / "whole")
    with pytest.raises(
        Interrupted,
        match=r"stopped after step 1 of 6 \(limit of 1e-07 minutes\); .*resumes from it",
    ):
        run(split, settings, tmp_path / "parts", max_minutes=1e-7)
    with pytest.raises(Interrupted, match="after step 2 of 6"):
        run(split, settings, tmp_path / "parts", max_minutes=1e-7)
    run(split, settings, tmp_path / "parts", max_minutes=60)
    whole, parts = (tmp_path / name / "model" / "model.safetensors" for name in ("whole", "parts"))
    assert whole.read_bytes() == parts.read_bytes()


@pytest.mark.parametrize("minutes", [0, -1, math.nan])
def test_no_time_is_refused(split, settings, tmp_path, minutes):
    with pytest.raises(SettingsError, match="max_minutes"):
        run(split, settings, tmp_path / "run", max_minutes=minutes)


def test_what_is_logged_of_a_step(split, settings, tmp_path):
    run(split, settings, tmp_path / "run", objectives=(Supervised(tsa="exp"), UDA(confidence_threshold=0.1)))
    records = metrics_of(tmp_path / "run")
    assert len(records) == 6
    expected = {"loss", "supervised", "tsa_threshold", "labeled_counted", "uda", "confident", "entropy", "agreement"}
    for record in records:
        assert expected | {"learning_rate", "padding", "unlabeled_loss", *MACHINE_METRICS} <= record.keys()
        assert record["padding"] == 0 and record["tokens_per_s"] > 0 and 0 < record["peak_memory_gb"] < 64
        assert record["entropy"] == pytest.approx(math.log(2), abs=0.1), "a new head knows nothing"
        assert record["loss"] == pytest.approx(record["supervised"] + record["unlabeled_loss"], rel=1e-4)


def test_objectives_know_the_shares_of_the_labeled_rows_and_go_on_with_what_they_made_of_them(
    split, settings, tmp_path, monkeypatch
):
    """Six labeled rows of class 0 and two of class 1: weights of 8 / 12 and 8 / 4, a prior of 3/4 and 1/4."""
    skewed = replace(split, labeled=Rows(split.labeled.texts, (0,) * 6 + (1,) * 2))
    objectives = (Supervised(class_weights="balanced", label_smoothing=0.1), UDA(alignment="labels"))
    run(skewed, settings, tmp_path / "whole", objectives=objectives)
    forward, seen = Step.forward, {}

    def killed(self, batch, step, *others):
        seen.setdefault(step, {name: value.clone() for name, value in self.named_buffers() if "objective_" in name})
        if step == 5:
            raise KeyboardInterrupt
        return forward(self, batch, step, *others)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Step, "forward", killed)
        run(skewed, settings, tmp_path / "killed", objectives=objectives)
    assert seen[0]["objective_0_class_weights"].tolist() == pytest.approx([8 / 12, 8 / 4])
    assert seen[0]["objective_1_mean_prediction"].tolist() == seen[5]["objective_1_prior"].tolist() == [0.75, 0.25]
    assert seen[5]["objective_1_mean_prediction"].tolist() != [0.75, 0.25]
    run(skewed, settings, tmp_path / "killed", objectives=objectives)
    whole, resumed = (weights_of(tmp_path / name) for name in ("whole", "killed"))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    with pytest.raises(SettingsError, match=r"other settings.*\nSupervised\.class_weights: balanced in the run"):
        run(skewed, settings, tmp_path / "killed", objectives=(Supervised(), objectives[1]))


def test_a_class_without_a_labeled_row_leaves_no_run_behind(split, settings, tmp_path):
    one_class = replace(split, labeled=Rows(split.labeled.texts, (0,) * 8))
    for objectives in ((Supervised(class_weights="balanced"), UDA()), (Supervised(), UDA(alignment="labels"))):
        with pytest.raises(SettingsError, match="there is none of class 1"):
            run(one_class, settings, tmp_path / "run", objectives=objectives)
        assert not (tmp_path / "run").exists(), "or the mended call would find a run with other settings there"


def test_a_threshold_that_nothing_reaches_is_warned_of(split, settings, tmp_path, caplog):
    """And the warning is in the result."""
    long = replace(settings, steps=110, log_every=10, evaluate_every=50, learning_rate=1e-6)
    result = run(split, long, tmp_path / "run", objectives=(Supervised(), FixMatch(confidence_threshold=0.99)))
    (told,) = [words for words in result["warnings"] if "loss is zero in all logged steps since 1:" in words]
    assert caplog.text.count(told) == 1


def test_the_time_of_a_run_that_was_stopped_counts(split, settings, tmp_path):
    with pytest.raises(Interrupted):
        run(split, settings, tmp_path / "run", max_minutes=1e-7)
    (folder,) = (tmp_path / "run" / "checkpoints").iterdir()
    state = json.loads((folder / "state.json").read_text())
    assert state["spent"]["seconds"] > 0 and state["spent"]["cpu_seconds"] > 0
    del state["digest"]
    state["spent"] = {"seconds": 5000.0, "cpu_seconds": 7000.0}
    (folder / "state.json").write_text(json.dumps(state | {"digest": checkpoint._state_digest(state)}))
    with pytest.raises(Interrupted):
        run(split, settings, tmp_path / "run", max_minutes=1e-7)
    result = run(split, settings, tmp_path / "run")
    assert 5000 < result["seconds"] < 6000 and 7000 < result["cpu_seconds"] < 8000


class Noted:
    """A tracker that keeps what it is sent; accelerate's are called like this."""

    name, requires_logging_directory = "tensorboard", True

    def __init__(self, run_name, logging_dir, **_named):
        self.run_name, self.folder, self.sent, self.config, self.ended = run_name, logging_dir, [], None, False

    def start(self):
        pass

    def store_init_configuration(self, values):
        self.config = values

    def log(self, values, step=None, **_named):
        self.sent.append((step, values))

    def finish(self):
        self.ended = True


def test_metrics_go_to_a_tracker_too(split, settings, tmp_path, monkeypatch):
    made = []

    def tracker(*arguments, **named):
        made.append(Noted(*arguments, **named))
        return made[0]

    tracker.requires_logging_directory = True
    monkeypatch.setattr("text_uda.training.trackers.find_spec", lambda _name: True)
    monkeypatch.setattr("accelerate.accelerator.filter_trackers", lambda asked, _folder: asked or [])
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "tensorboard", tracker)
    run(split, settings, tmp_path / "run", track=["tensorboard"])
    (noted,) = made
    sent = {(step, name): value for step, values in noted.sent for name, value in values.items()}
    for record in metrics_of(tmp_path / "run") + metrics_of(tmp_path / "run", "dev"):
        for name, value in record.items():
            if name not in ("kind", "step"):
                assert sent[record["step"], f"{record['kind']}/{name}"] == value
    assert noted.config is not None and noted.config["steps"] == 6 and noted.ended


@pytest.mark.parametrize(
    ("track", "kind", "said"),
    [
        ("mlflow", SettingsError, "choose among tensorboard, trackio, wandb"),
        ("wandb", MissingPartError, "pip install wandb"),
    ],
)
def test_a_tracker_that_is_not_there_is_refused(split, settings, tmp_path, track, kind, said, monkeypatch):
    monkeypatch.setattr("text_uda.training.trackers.find_spec", lambda _name: None)
    with pytest.raises(kind, match=said):
        run(split, settings, tmp_path / "run", track=[track])
    assert not (tmp_path / "run").exists()


def test_a_step_that_does_not_fit_into_memory_says_what_to_do(split, settings, tmp_path, monkeypatch):
    forward = Step.forward

    def full(self, batch, step, *others):
        result = forward(self, batch, step, *others)
        if step == 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return result

    monkeypatch.setattr(Step, "forward", full)
    with pytest.raises(
        SettingsError, match=r"a step does not fit into memory: out of memory after \d+ tokens.*--tokens-per-pass \d+\)"
    ):
        run(split, settings, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000004"]


def test_a_run_of_a_version_that_wrote_less_goes_on(split, settings, tmp_path):
    """What is new in the configuration follows from the digest of the split."""
    call = {"objectives": (Supervised(),), "settings": settings, "out": tmp_path / "run"}
    train(split, **call)
    (tmp_path / "run" / "result.json").unlink()
    file = tmp_path / "run" / "config.json"
    config = json.loads(file.read_text())
    del config["data"]["test_digest"], config["data"]["unlabeled"]
    file.write_text(json.dumps(config))
    assert train(split, **call)["steps"] == settings.steps
    file.write_text(json.dumps(config | {"data": config["data"] | {"digest": "another"}}))
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(SettingsError, match="data: other texts or labels than when the run began"):
        train(split, **call)


def test_the_schedules(split, settings, tmp_path):
    rates = {}
    for schedule in SCHEDULES:
        one = replace(settings, schedule=schedule, learning_rate=1e-3, warmup_steps=2)
        run(split, one, tmp_path / schedule)
        rates[schedule] = [record["learning_rate"] for record in metrics_of(tmp_path / schedule)]
    falling = {
        "linear": [1, 0.75, 0.5, 0.25],
        "cosine": [1, 0.5 + math.sqrt(2) / 4, 0.5, 0.5 - math.sqrt(2) / 4],
        "cosine-7-16": [math.cos(7 / 16 * math.pi * share) for share in (0, 0.25, 0.5, 0.75)],
        "constant": [1, 1, 1, 1],
    }
    assert rates.keys() == falling.keys()
    for schedule, after in falling.items():
        assert rates[schedule] == pytest.approx([5e-4, 1e-3, *(1e-3 * factor for factor in after)], rel=1e-5), schedule


def test_gradients_of_any_length(split, settings, tmp_path):
    for name, most in {"any": None, "long": 1e6, "short": 1e-3}.items():
        run(split, replace(settings, learning_rate=1e-3, max_grad_norm=most), tmp_path / name)
    free, long, short = (weights_of(tmp_path / name) for name in ("any", "long", "short"))
    assert all(torch.equal(free[name], value) for name, value in long.items())
    assert not all(torch.equal(free[name], value) for name, value in short.items())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"schedule": "sideways"}, "schedule='sideways': choose linear, cosine, cosine-7-16, constant"),
        ({"max_grad_norm": 0.0}, "max_grad_norm=0.0: give a number above 0, or None"),
        ({"head_learning_rate": -1.0}, "head_learning_rate=-1.0: give a number above 0"),
        ({"head_learning_rate": math.nan}, "head_learning_rate=nan"),
        ({"head_learning_rate": 0.1, "tune": "head"}, "with tune='head' give learning_rate"),
        ({"head_penalty": -0.1}, "head_penalty=-0.1: give 0 or more"),
        ({"head_penalty": math.nan}, "head_penalty=nan"),
        ({"head_penalty": math.inf}, "head_penalty=inf: give a finite number"),
        ({"learning_rate": math.inf}, "learning_rate=inf: give a finite number"),
        ({"weight_decay": math.inf}, "weight_decay=inf: give a finite number"),
        ({"patience": 0}, "patience=0: give a number above 0"),
        ({"patience": 2, "select_by": "last"}, "patience waits for a better evaluation, and select_by='last' chooses"),
    ],
)
def test_options_that_are_refused(settings, wrong, said):
    with pytest.raises(SettingsError, match=said):
        replace(settings, **wrong)
