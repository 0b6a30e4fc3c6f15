"""A folder with files of somebody else keeps them, whatever verb and option names it."""

import json
import shutil
from pathlib import Path

import forked
import pytest

from text_uda.runs.directory import RunDirectory
from text_uda.training.fine_tuning import FineTuning

TRAIN = ("--labels", "6", "--tune", "head", "--steps", "2", "--max-tokens", "16")
CONFIGS = {"of a program": '{"name": "app", "version": "1.0"}', "of a run": None, "none": ""}

FOLDER = "THEIRS"  # in the words below
HEAD = ("train", "DATA", *TRAIN, "--encoder", "BERT")
TASKS = ("train", "--task", "a=DATA", "--task", "b=DATA", *TRAIN, "--encoder", "BERT")
PRETRAIN = ("pretrain", "DATA", "--steps", "1", "--encoder", "BERT")
WRITES = [
    *((*words, "--out", FOLDER, option) for words in (HEAD, PRETRAIN) for option in ("--no-resume", "--resume")),
    (*HEAD, "--refit", "--out", FOLDER, "--no-resume"),
    *((*TASKS, "--out", FOLDER, option) for option in ("--no-resume", "--resume")),
    (*HEAD, "--objective", "logistic-regression", "--out", FOLDER, "--no-resume"),
    ("ablate", "table2", "--data", "DATA", "--size", "smoke", "--encoder", "BERT", "--out", FOLDER),
    ("ablate", "table2", "--data", "DATA", "--size", "smoke", "--encoder", "BERT", "--cache", FOLDER, "--out", "new"),
    ("paraphrase", "DATA", "--method", "uniform", "--encoder", "BERT", "--limit", "2", "--cache", FOLDER),
    (*HEAD, "--augment", "uniform", "--cache", FOLDER, "--out", "new"),
    *(("cache", verb, FOLDER) for verb in ("stats", "show", "verify", "compact")),
    ("cache", "merge", FOLDER, "RUN"),
    ("cache", "merge", "new", FOLDER),
    ("cache", "export", FOLDER, "--out", "new.jsonl"),
    ("cache", "export", FOLDER, "--out", FOLDER),
    ("predict", "RUN", "DATA", "--out", FOLDER),
    ("pseudo-label", "RUN", "DATA", "--out", FOLDER),
    ("report", "RUN", "--out", FOLDER),
    ("evaluate", FOLDER, "DATA"),
    ("push", FOLDER, "ada/model"),
    ("demo", "--out", FOLDER),
]
BESIDE = [("report", "RUN", "--out", f"{FOLDER}/page.html", "--tables", FOLDER, "--figures", FOLDER)]


@pytest.fixture(scope="module")
def finished(reviews, tiny_bert, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("finished") / "run"
    forked.finished("train", reviews, *TRAIN, "--encoder", tiny_bert, "--out", run)
    return run


@pytest.fixture
def theirs(finished, tmp_path, request) -> Path:
    folder = tmp_path / "theirs"
    for name in ("src", "model", "cache", "runs"):
        (folder / name).mkdir(parents=True)
    for name in ("precious.txt", "src/main.py", "model/weights.bin", "cache/x", "runs/x", ".gitignore"):
        (folder / name).write_text("years of work")
    content = (finished / "config.json").read_text() if (content := CONFIGS[request.param]) is None else content
    if content:
        (folder / "config.json").write_text(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def call(run, reviews, tiny_bert, finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def with_words(words, folder):
        places = {"DATA": reviews, "BERT": tiny_bert, "RUN": finished}
        words = (word.replace("=DATA", f"={reviews}") for word in words)
        return run(*(str(places.get(word, word)).replace(FOLDER, str(folder)) for word in words))

    return with_words


@pytest.mark.parametrize("theirs", CONFIGS, indirect=True)
@pytest.mark.parametrize("words", WRITES, ids=lambda words: " ".join(words[:2]) + f" {words[-2]} {words[-1]}")
def test_files_of_somebody_else_stay(call, theirs, words):
    before = contents(theirs)
    result = call(words, theirs)
    assert result.exit_code == 2 and "Traceback" not in result.output, result.output
    assert contents(theirs) == before
    assert not any(path.name == ".lock" for path in theirs.iterdir())


@pytest.mark.parametrize("theirs", ["of a program"], indirect=True)
@pytest.mark.parametrize("words", BESIDE)
def test_tables_and_figures_lie_beside_them(call, theirs, words):
    before = contents(theirs)
    result = call(words, theirs)
    assert result.exit_code == 0, result.output
    assert before.items() <= contents(theirs).items()


@pytest.mark.parametrize("theirs", ["of a program"], indirect=True)
@pytest.mark.parametrize(
    "words", [("predict", FOLDER, "DATA"), ("evaluate", FOLDER, "DATA"), ("report", FOLDER, "--out", "new.html")]
)
def test_a_project_is_no_run_that_could_be_finished(call, theirs, words):
    result = call(words, theirs)
    assert result.exit_code == 2 and "is not a run directory" in result.stderr, result.output


@pytest.mark.parametrize("verb", ["train", "pretrain"])
def test_an_input_inside_the_run_stays(call, refused, finished, reviews, tiny_bert, tmp_path, verb):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    before = contents(run)
    words = TRAIN if verb == "train" else ("--steps", "1")
    (tmp_path / "link").symlink_to(run / "model")
    for encoder in (run / "model", tmp_path / "run" / ".." / "run" / "model", tmp_path / "link"):
        message = refused(verb, reviews, *words, "--encoder", encoder, "--out", run, "--no-resume")
        assert f"{encoder} is an input of this call" in message and "name another folder" in message
    data = run / "test_examples.jsonl"
    columns = ("--text-column", "text", "--label-column", "label")
    message = refused(verb, data, *columns, *words, "--encoder", tiny_bert, "--out", run, "--no-resume")
    assert f"{data} is an input of this call" in message
    after = contents(run)
    after.pop(".lock", None)
    before.pop(".lock", None)
    assert after == before


def test_of_two_at_the_same_time_one_trains(reviews, tiny_bert, tmp_path):
    words = ("train", reviews, *TRAIN, "--encoder", tiny_bert, "--out", tmp_path / "run")
    both = [forked.Started(*words) for _ in range(2)]
    errors = [process.communicate()[1] for process in both]
    for process, error in zip(both, errors, strict=True):  # the second waits ten seconds, and reads what the first made
        assert process.returncode == 0 or "another process writes to" in error, error
    assert 0 in [process.returncode for process in both]
    RunDirectory(tmp_path / "run").check_whole()


def test_a_second_call_is_one_line(refused, run, reviews, tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setattr("text_uda.runs.run_lock.WAIT_S", 0)
    out = tmp_path / "run"
    words, messages = ("train", reviews, *TRAIN, "--encoder", tiny_bert, "--out", out), []
    update = FineTuning.update
    monkeypatch.setattr(FineTuning, "update", lambda *arguments: messages.append(refused(*words)) or update(*arguments))
    assert run(*words).exit_code == 0
    assert (
        messages == [f"another process writes to {tmp_path / 'run'}: wait for it, stop it, or name another folder"] * 2
    )


def test_the_configuration_of_a_run_runs_again(finished, run, tmp_path, monkeypatch):
    assert json.loads((finished / "config.json").read_text())["text_uda_run"] == 1
    result = run("train", "--config", finished / "config.json", "--out", tmp_path / "again")
    assert result.exit_code == 0, result.output
    digests = [json.loads((path / "result.json").read_text())["model_files"] for path in (finished, tmp_path / "again")]
    assert digests[0] == digests[1]
