"""The study of several tasks: its trials, and what its runner makes of them."""

import shlex
import shutil
from collections import Counter
from dataclasses import replace

import pytest
from click.testing import CliRunner

from text_uda import cli
from text_uda.augment.switchout import SwitchOut
from text_uda.cli.verb_ablate import ablate
from text_uda.data import Corpus, Rows
from text_uda.errors import SettingsError
from text_uda.experiment import STUDIES, Trial, run_study, setting
from text_uda.experiment.cost import _rows
from text_uda.experiment.trial import TrialRunner
from text_uda.objectives import LogisticRegression, Supervised
from text_uda.report import read
from text_uda.report.task_means import task_means
from text_uda.tasks.alternate import Alternate
from text_uda.tasks.joint import Joint
from text_uda.tasks.pooled import Pooled
from translation_cache.atomic import unfinished_name

ROWS = Rows(tuple(map(str, range(200))), tuple(n % 2 for n in range(200)))
CORPUS = Corpus("rated-texts", "", ("negative", "positive"), ROWS, Rows((), ()))
TASKS = {"movies": CORPUS, "star rating": replace(CORPUS, name="b")}


def test_each_method_has_each_seed_and_each_number_of_labels():
    common = setting(CORPUS, "small", seeds=3, tasks=TASKS)
    trials = list(STUDIES["tasks"](common))
    assert len({trial.folder for trial in trials}) == len({trial.digest() for trial in trials}) == len(trials)
    assert set(Counter(trial.name for trial in trials).values()) == {3}
    assert {trial.labels for trial in trials} == {25, 100}
    assert {(trial.settings.tune, trial.settings.learning_rate) for trial in trials} == {("last:2", 3e-4)}
    assert setting(CORPUS, "small", tasks=TASKS, tune="head").settings.tune == setting(CORPUS, "small").settings.tune
    assert setting(CORPUS, "paper", tasks=TASKS).settings.tune == "all"
    of_one = [trial for trial in trials if trial.task_method is None]
    assert {trial.task for trial in of_one} == {"movies", "star rating"} and "star-rating-none-25" in {
        trial.name for trial in of_one
    }
    assert [type(trial.objectives[0]) for trial in of_one[:2]] == [LogisticRegression] * 2
    methods = Counter(repr(trial.task_method) for trial in trials if trial.task_method is not None)
    ways = [Joint(), Joint(weights="uncertainty"), Joint(weights="pcgrad"), Alternate(), Pooled()]
    assert methods == {repr(way): {Joint(): 24, Pooled(): 18}.get(way, 12) for way in ways}, (
        "random labels are joint too"
    )
    regressions = [trial for trial in trials if trial.objectives == (LogisticRegression(),)]
    assert Counter(trial.task for trial in regressions) == {"movies": 6, "star rating": 6, None: 6}, "one of all rows"
    assert sum(trial.random_task for trial in trials) == 12
    seeds = [trial.settings.seed for trial in trials]
    assert seeds == sorted(seeds), "a study that is cut has whole seeds"


def test_a_task_named_random_is_kept_beside_the_one_with_random_labels(monkeypatch, tmp_path):
    trained = {}
    monkeypatch.setattr("text_uda.tasks.train_tasks.train_tasks", lambda splits, **_others: trained.update(splits))
    runner = TrialRunner(data={}, cache="", runs=tmp_path, features=tmp_path, of_tasks=True)
    tasks = {"Random": CORPUS, "joint": replace(CORPUS, name="b")}
    runner.__dict__["corpora"] = tasks
    trials = {trial.name: trial for trial in STUDIES["tasks"](setting(CORPUS, "small", seeds=1, tasks=tasks))}
    assert {"Random-2-none-100", "random-none-100", "joint-2-none-100", "joint-none-100"} <= {*trials}
    runner.run(trials["random-none-100"])
    assert list(trained) == ["Random", "joint", "random-2"]
    assert _rows(trials["random-none-100"], 2) == 3 * _rows(trials["Random-2-none-100"], 2)


def test_a_task_has_as_many_rows_in_each_way():
    trials = {trial.name: trial for trial in STUDIES["tasks"](setting(CORPUS, "small", tasks=TASKS))}
    rows = {name: _rows(trial, 2) * trial.settings.steps for name, trial in trials.items()}
    alone, joint, alternate = (rows[f"{name}-switchout-100"] for name in ("movies", "joint", "alternate"))
    assert 2 * alone == joint == alternate and rows["random-switchout-100"] == 3 * alone


def test_one_head_needs_one_set_of_classes_and_one_task_is_no_study(caplog):
    other = {"movies": CORPUS, "topic": replace(CORPUS, classes=("a", "b", "c"))}
    trials = list(STUDIES["tasks"](setting(CORPUS, "small", tasks=other)))
    assert not any(isinstance(trial.task_method, Pooled) for trial in trials) and trials
    few = list(STUDIES["tasks"](setting(CORPUS, "small", tasks=other, few=8)))
    assert {trial.labels for trial in few} == {8}, "two labels are too few for three classes"
    assert "no runs with 2 labels of each task: a task has 3 classes" in caplog.text
    with pytest.raises(SettingsError, match="'a/b': a task names a folder"):
        list(STUDIES["tasks"](setting(CORPUS, "small", tasks={"movies": CORPUS, "a/b": CORPUS})))
    named = list(STUDIES["tasks"](setting(CORPUS, "small", seeds=1, tasks={"movies": CORPUS, "评分": CORPUS})))
    assert {trial.name for trial in named if trial.task == "评分"} >= {"task-none-100", "task-switchout-25"}
    with pytest.raises(SettingsError, match=r"needs data with several tasks: --data rated-texts"):
        list(STUDIES["tasks"](setting(CORPUS, "small")))


@pytest.fixture
def table(tmp_path):
    words = {"good": ("great", "fine", "best", "love"), "bad": ("poor", "dull", "worst", "hate")}
    things = ("film", "plot", "actor", "scene", "phone", "show")
    rows = [
        f"the {thing} is {word} {end},{verdict},{'first' if number < 3 else 'second'}"
        for number, thing in enumerate(things)
        for verdict, some in words.items()
        for word in some
        for end in ("to me", "for all")
    ]
    (tmp_path / "a.csv").write_text("\n".join(["text,verdict,thing", *rows]) + "\n")
    return {"source": str(tmp_path / "a.csv"), "label_column": ("verdict", "thing")}


def test_trials_of_tasks_that_the_data_has_not_are_refused(table, head, tmp_path):
    plain = {"labels": 6, "settings": head}
    for words, fields in {
        "task='': name a task": {"task": ""},
        "give one of the two": {"task": "thing", "task_method": Joint()},
        "random_task=True needs a task_method": {"random_task": True},
    }.items():
        with pytest.raises(SettingsError, match=words):
            Trial(name="a", **plain, **fields)
    out = tmp_path / "study"
    with pytest.raises(SettingsError, match="task='verdct' of a: the data has the tasks verdict, thing"):
        run_study([Trial(name="a", task="verdct", **plain)], table, out=out)
    with pytest.raises(SettingsError, match=r"a\.csv is one task"):
        run_study([Trial(name="a", task_method=Joint(), **plain)], table | {"label_column": "thing"}, out=out)
    assert not out.exists()


def test_missing_paraphrases_of_label_columns_have_a_command_each(table, head, tmp_path):
    beside = tmp_path / "test.csv"
    beside.write_text("text,verdict,thing\nnew film,good,\nold film,bad,first\nshow,,second\n")
    table |= {"test": beside}
    settings = {"labels": 6, "settings": head, "augmentation": SwitchOut(tokenizer=head.encoder)}
    trials, cache = [Trial(name="joint", task_method=Joint(), **settings)], tmp_path / "cache"
    with pytest.raises(SettingsError, match="paraphrases are missing") as refused:
        run_study(trials, table, out=tmp_path / "study", cache=cache)
    commands = [shlex.split(words) for words in str(refused.value).split("`")[1::2]]
    assert [words[words.index("--label-column") + 1] for words in commands] == ["verdict", "thing"]
    for words in commands:
        with pytest.raises(SystemExit) as end:
            cli.main(words[1:])
        assert end.value.code == 0
    assert not run_study(trials, table, out=tmp_path / "study", cache=cache, workers=1).failed


def test_runs_of_one_task_and_of_all_are_compared(table, head, tmp_path):
    plain = {"labels": 6, "objectives": (Supervised(),)}
    trials = [
        trial
        for seed in (0, 1)
        for trial in (
            Trial(name="verdict", task="verdict", settings=replace(head, seed=seed), **plain),
            Trial(name="thing", task="thing", settings=replace(head, seed=seed), **plain),
            Trial(name="joint", task_method=Joint(), settings=replace(head, seed=seed), **plain),
            Trial(name="noise", task_method=Joint(), random_task=True, settings=replace(head, seed=seed), **plain),
        )
    ]
    outcome = run_study(trials, table, out=tmp_path / "study", workers=1)
    assert not outcome.failed and len(outcome.finished) == 8
    assert run_study(trials, table, out=tmp_path / "study", workers=1) == outcome
    (means,) = task_means(read(outcome.finished).comparisons)
    assert list(means.comparisons) == ["verdict", "thing"]
    assert means.references == {
        "labels alone, joint of 2 tasks": "labels alone",
        "labels alone, joint of 3 tasks": "labels alone",
    }
    assert (tmp_path / "study" / "runs" / "noise-seed-0" / "tasks" / "random" / "result.json").exists()
    model = tmp_path / "study" / "runs" / "joint-seed-0" / "tasks" / "thing" / "model"
    weights = model / "model.safetensors"
    weights.write_bytes(b"\0" * weights.stat().st_size)
    damaged = run_study(trials, table, out=tmp_path / "study", workers=1).failed
    assert list(damaged) == ["joint-seed-0"] and str(weights) in damaged["joint-seed-0"]
    shutil.rmtree(model)  # to save space
    assert run_study(trials, table, out=tmp_path / "study", workers=1) == outcome
    with_models = repr(read(outcome.finished))
    leftover = model.parent / unfinished_name("model")  # of a call that was killed
    leftover.mkdir()
    assert run_study(trials, table, out=tmp_path / "study", workers=1, keep_models=False) == outcome
    assert not [*(tmp_path / "study").rglob("model.safetensors")] and not leftover.exists()
    assert repr(read(outcome.finished)) == with_models
    assert run_study(trials, table, out=tmp_path / "study", workers=1) == outcome
    with pytest.raises(SettingsError, match="make them two studies"):
        run_study([*trials, Trial(name="none", settings=head, **plain)], table, out=tmp_path / "study")


@pytest.mark.parametrize("estimates", [False, True])
def test_a_file_with_several_label_columns_is_a_study(table, tiny_bert, tmp_path, monkeypatch, estimates):
    seen = {}

    def take(trials, second, **_others):
        seen.update(trials=trials, second=second)
        raise SettingsError("far enough")

    monkeypatch.setattr("text_uda.experiment.cost.estimate_cost", take)
    monkeypatch.setattr("text_uda.experiment.study.run_study", take)
    words = ["tasks", "--data", table["source"], "--encoder", str(tiny_bert), "--out", str(tmp_path / "study")]
    words += [f"--label-column={column}" for column in table["label_column"]] + ["--estimate"] * estimates
    said = CliRunner().invoke(ablate, words)
    assert str(said.exception) == "far enough" or "far enough" in said.output, said.output
    assert {trial.task for trial in seen["trials"]} == {"verdict", "thing", None}
    assert {trial.labels for trial in seen["trials"]} == {5, 20}
    assert not estimates or seen["second"].name == "a (verdict)"
