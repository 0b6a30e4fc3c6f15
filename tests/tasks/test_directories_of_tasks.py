"""The run directories of tasks inside that of their run: who writes there, and what of them has to be whole."""

import shutil
from pathlib import Path

import pytest

from text_uda.errors import OtherRunError, SettingsError
from text_uda.model.encoder_files import encoder_path
from text_uda.objectives import Supervised
from text_uda.report.find_runs import find_runs_in
from text_uda.runs.directory import RunDirectory
from text_uda.runs.model_files import DamagedModelError
from text_uda.runs.prediction import predict
from text_uda.tasks.train_tasks import train_tasks
from text_uda.training.train_classifier import train

OBJECTIVES = (Supervised(),)


@pytest.fixture(scope="module")
def finished(splits, settings, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("tasks") / "run"
    train_tasks(splits, objectives=OBJECTIVES, settings=settings(tune="head", steps=2), out=out)
    return out


@pytest.fixture
def run(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def rerun(splits, settings, run):
    def call(**more):
        more = {"objectives": OBJECTIVES, "settings": settings(tune="head", steps=2)} | more
        return train_tasks(splits, out=run, **more)

    return call


@pytest.mark.parametrize(
    ("file", "message"), [("model/model.safetensors", "is not as the run wrote it"), ("result.json", "is missing")]
)
def test_damage_of_one_task_is_named(run, rerun, splits, file, message):
    path = run / "tasks" / "thing" / file
    path.write_bytes(b"torn") if file.startswith("model") else path.unlink()
    with pytest.raises(DamagedModelError, match=f"{path} {message}.*train the run again with --no-resume"):
        rerun()
    with pytest.raises(SettingsError, match=r"is not as the run wrote it|is not finished"):
        next(predict(run / "tasks" / "thing", ["a film"]))
    next(predict(run / "tasks" / "verdict", ["a film"]))
    rerun(resume=False)
    RunDirectory(run).check_model()


def test_a_run_that_resumes_has_no_finished_task_until_its_end(run, rerun, monkeypatch):
    (run / "result.json").unlink()
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match=r"killed"):
        patch.setattr("text_uda.tasks.train_tasks.train_loop", lambda *_: exec("raise RuntimeError('killed')"))
        rerun()
    assert not [*run.glob("tasks/*/result.json")]
    (run / "tasks" / "thing" / "model" / "precious.txt").write_text("years of work")
    with pytest.raises(SettingsError, match=r"holds files that no run wrote.*model/precious.txt"):
        rerun()
    (run / "tasks" / "thing" / "model" / "precious.txt").rename(run / "tasks" / "thing" / "precious.txt")
    rerun()
    assert len([*run.glob("tasks/*/result.json")]) == 2 and (run / "tasks" / "thing" / "precious.txt").exists()


def test_no_resume_leaves_the_files_of_others(run, rerun):
    for file, there in (
        ("tasks/thing/mine.txt", "tasks/thing/mine.txt"),
        ("tasks/me/a.py", "a.py"),
        ("src/a.py", "src"),
    ):
        (run / file).parent.mkdir(exist_ok=True)
        (run / file).write_text("years of work")
        with pytest.raises(SettingsError, match=f"holds files that no run wrote, which are not removed.*{there}"):
            rerun(resume=False)
        assert RunDirectory(run).result() is not None and (run / file).read_text() == "years of work"
        (run / file).unlink()
        if not [*(run / file).parent.iterdir()]:
            (run / file).parent.rmdir()


def test_no_resume_removes_the_tasks_of_the_run_before(run, splits, settings):
    train_tasks(
        {"other": splits["verdict"]},
        objectives=OBJECTIVES,
        settings=settings(tune="head", steps=1),
        out=run,
        resume=False,
    )
    assert [path.name for path in (run / "tasks").iterdir()] == ["other"]


def test_another_run_does_not_write_into_a_task(run, splits, settings, monkeypatch):
    more = {"objectives": OBJECTIVES, "settings": settings(tune="head", steps=1)}
    monkeypatch.chdir(run / "tasks")
    for resume in (True, False):
        with pytest.raises(SettingsError, match=r"thing is a task of the run .*: name another folder for this run"):
            train(splits["thing"], **more, out="thing", resume=resume)
    train(splits["thing"], **more, out="mine")


def test_a_run_of_one_kind_is_not_resumed_as_the_other(run, splits, settings, tmp_path):
    more = {"objectives": OBJECTIVES, "settings": settings(tune="head", steps=1)}
    with pytest.raises(OtherRunError, match=r"joint of 2 tasks in the run, none now"):
        train(splits["thing"], **more, out=run)
    train(splits["thing"], **more, out=tmp_path / "alone")
    with pytest.raises(OtherRunError, match=r"none in the run, none, joint of 2 tasks now"):
        train_tasks(splits, **more, out=tmp_path / "alone")


def test_a_run_of_several_tasks_stands_for_them_in_a_report_alone(run):
    assert [one.path.name for one in find_runs_in([run]).runs] == ["verdict", "thing"]
    with pytest.raises(SettingsError, match=r"holds a run of several tasks, each with a model: name one of .*verdict"):
        next(predict(run, ["a film"]))
    with pytest.raises(SettingsError, match=r"is the run of several tasks; name the model of one, .*verdict/model or "):
        encoder_path(str(run))
