"""L: a run resumes where its contents are the same, wherever they lie, and says in one line each what is not."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from text_uda import LogisticRegression, TrainSettings, load, pretrain, split, train
from text_uda.cli import main
from text_uda.errors import SettingsError
from text_uda.training.pretrain_settings import PretrainSettings

WORDS = {"good": ("great", "best", "fine", "love"), "bad": ("poor", "dull", "worst", "bad")}


def write_rows(path: Path, thing: str, *, more: str = "") -> None:
    rows = [
        {"text": f"the {thing} {number} was {word} {name}{more}", "label": label}
        for label, words in WORDS.items()
        for word in words
        for number, name in enumerate(("story", "plot", "scene"))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def folder(tmp_path, monkeypatch, tiny_bert):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_bert, tmp_path / "encoder")
    write_rows(tmp_path / "data.jsonl", "film")
    write_rows(tmp_path / "dev.jsonl", "book")
    write_rows(tmp_path / "test.jsonl", "meal")
    return tmp_path


def pairwise_of(words):
    return zip(words[::2], words[1::2], strict=True)


def call(*, data="data.jsonl", encoder="encoder", dev="dev.jsonl", test="test.jsonl", more=()):
    options = {"--labels": "6", "--objective": "supervised", "--steps": "3"} | dict(pairwise_of(more))
    words = ["train", data, "--dev", dev, "--test", test, "--encoder", encoder, "--out", "run"]
    words += [word for option in options.items() for word in option]
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def started(folder):
    """A run that is not finished, as far as its folder shows."""
    assert call().exit_code == 0
    (folder / "run" / "result.json").unlink()
    return folder


def test_the_encoder_by_its_absolute_path_or_as_a_copy_goes_on(started):
    assert call(encoder=started / "encoder").exit_code == 0
    (started / "run" / "result.json").unlink()
    shutil.move(started / "encoder", started / "elsewhere")
    again = call(encoder="elsewhere")
    assert again.exit_code == 0, again.stderr


def test_files_of_data_that_were_moved_go_on(started):
    for name in ("data", "dev", "test"):
        shutil.move(started / f"{name}.jsonl", started / f"moved-{name}.jsonl")
    again = call(data="moved-data.jsonl", dev=started / "moved-dev.jsonl", test="moved-test.jsonl")
    assert again.exit_code == 0, again.stderr


def test_a_cache_that_was_copied_goes_on(folder):
    cache = ("--method", "synonym", "--cache", "cache")
    assert CliRunner().invoke(main, ["paraphrase", "data.jsonl", "--test", "test.jsonl", *cache]).exit_code == 0
    more = ("--objective", "uda", "--augment", "synonym", "--cache")
    first = call(more=(*more, "cache"))
    assert first.exit_code == 0, first.stderr
    (folder / "run" / "result.json").unlink()
    shutil.move(folder / "cache", folder / "copy")
    again = call(more=(*more, "copy"))
    assert again.exit_code == 0, again.stderr


def test_an_encoder_that_changed_at_the_same_path_is_refused(started):
    file = started / "encoder" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"hidden_dropout_prob": 0.3}))
    refused = call()
    assert refused.exit_code == 2
    assert refused.stderr.endswith(
        "error: run holds a run with other settings; name another folder, or start again with --no-resume:\n"
        "  encoder: the files of encoder have changed since\n"
    )


@pytest.mark.parametrize("name", ["data", "dev", "test"])
def test_data_that_changed_at_the_same_path_is_refused(started, name):
    write_rows(started / f"{name}.jsonl", "phone", more=" again")
    refused = call()
    assert refused.exit_code == 2
    assert refused.stderr.endswith("\n  data: other texts or labels than when the run began\n")


def test_each_setting_that_differs_is_one_line_without_its_consequences(started):
    refused = call(more=("--labels", "8", "--steps", "9", "--tune", "head"))
    assert refused.exit_code == 2
    lines = refused.stderr.splitlines()
    assert sorted(lines[-3:]) == [
        "  labels: 6 in the run, 8 now",
        "  steps: 3 in the run, 9 now",
        "  tune: all in the run, head now",
    ]
    assert "holds a run with other settings" in lines[-4]


def test_a_python_user_reads_of_arguments_not_of_options(folder, tiny_bert):
    parts = split(load(folder / "data.jsonl"), labels=6, seed=0)
    settings = TrainSettings(encoder=str(tiny_bert), steps=2)
    one = {"settings": settings, "objectives": (LogisticRegression(),), "out": folder / "run"}
    train(parts, **one)
    with pytest.raises(SettingsError) as refused:
        train(parts, **one | {"objectives": (LogisticRegression(folds=4),)})
    message, line = str(refused.value).split("\n")
    assert "`out`" in message and "resume=False" in message and "--" not in message
    assert line.startswith("LogisticRegression.folds: ") and line.endswith("4 now")


def test_pretraining_resumes_from_a_copy_of_its_encoder(folder):
    texts = [f"the film {number} was good and the plot was bad" for number in range(20)]
    settings = {"steps": 2, "tokens_per_step": 64, "max_tokens": 32, "seed": 0}
    pretrain(texts, settings=PretrainSettings(encoder="encoder", **settings), out="pretrained")
    shutil.move("encoder", "moved")
    pretrain(texts, settings=PretrainSettings(encoder="moved", **settings), out="pretrained")
    with pytest.raises(SettingsError, match="\ndata: other texts"):
        other = [text.replace("film", "book") for text in texts]
        pretrain(other, settings=PretrainSettings(encoder="moved", **settings), out="pretrained")


def test_a_run_of_an_earlier_version_is_compared_by_the_name_of_its_encoder(started):
    file = started / "run" / "config.json"
    config = json.loads(file.read_text())
    del config["encoder_digest"]
    file.write_text(json.dumps(config))
    refused = call(encoder=started / "encoder")
    assert refused.exit_code == 2 and f"\n  encoder: encoder in the run, {started / 'encoder'} now" in refused.stderr
    assert call().exit_code == 0
