"""Values that no setting can take are refused in one line before anything is read or written."""

import os
from pathlib import Path

import pytest

from text_uda.errors import SettingsError
from text_uda.training.settings import TrainSettings

HUGE = 10**35
NOT_UTF8 = os.fsdecode(b"o\xffx")


@pytest.mark.parametrize("option", ["--seed", "--steps", "--max-tokens", "--limit", "--labels", "--unlabeled-ratio"])
def test_numbers_of_more_than_64_bits(option, refused, reviews, tmp_path):
    words = ["train", reviews, "--out", tmp_path / "run", option, HUGE]
    if option != "--labels":
        words += ["--labels", 12]
    assert f"{option} {HUGE}: give a number below 2^63" in refused(*words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("field", ["seed", "steps", "max_tokens", "checkpoint_every"])
def test_numbers_of_more_than_64_bits_in_python(field):
    with pytest.raises(SettingsError, match=f"{field}={HUGE}: give a number below 2"):
        TrainSettings(**{field: HUGE})
    with pytest.raises(SettingsError, match=f"{field}=-1: give"):
        TrainSettings(**{field: -1})


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_floats_that_are_not_finite(number, refused, reviews, tmp_path):
    words = ("train", reviews, "--labels", 12, "--out", tmp_path / "run")
    for option in ("--learning-rate", "--weight-decay", "--max-minutes", "--temperature"):
        message = refused(*words, f"{option}={number}")
        assert "finite" in message or "range" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["--out", "--encoder", "--cache", "--unlabeled", "--test", "--dev"])
def test_names_that_are_not_utf8_or_empty(option, refused, reviews, tmp_path):
    words = ["train", reviews, "--labels", 12, *(() if option == "--out" else ("--out", tmp_path / "run"))]
    assert "is not in UTF-8; rename" in refused(*words, option, NOT_UTF8)
    assert f"{option} is empty; give a value, or leave it out" in refused(*words, option, "")
    assert f"{option} is empty" in refused(*words, f"{option}=")
    assert not (tmp_path / "run").exists()


def test_data_that_is_not_utf8_or_empty(refused, reviews, tmp_path):
    assert "is not in UTF-8" in refused("data", tmp_path / NOT_UTF8)
    assert "is empty" in refused("data", "")
    assert "is not in UTF-8" in refused("report", tmp_path / NOT_UTF8, "--out", "x.html")


@pytest.mark.parametrize("value", ["e\\u0000x", "e\\udcffx"])
def test_names_in_a_file_of_options(value, refused, reviews, tmp_path):
    path = tmp_path / "options.toml"
    path.write_text(f'encoder = "{value}"\n' if "udcff" not in value else 'encoder = "e\\u0000"\n')
    message = refused("train", reviews, "--labels", 12, "--out", tmp_path / "run", "--config", path)
    assert "a name is text in UTF-8 without a zero byte" in message


@pytest.mark.parametrize("tokens", [1, 2])
def test_max_tokens_without_room_for_a_text(tokens, refused, reviews, tiny_bert: Path, tmp_path):
    common = ("--encoder", tiny_bert, "--steps", 2, "--max-tokens", tokens, "--out", tmp_path / "run")
    for words in (("train", reviews, "--labels", 12), ("pretrain", reviews)):
        message = refused(*words, *common)
        assert f"max_tokens={tokens}: the encoder adds 2 tokens to each text" in message and "3 or more" in message


def test_a_folder_that_is_not_utf8_is_refused_before_a_run_in_python(tmp_path: Path):
    from text_uda.training.pretraining import pretrain

    with pytest.raises(SettingsError, match="the name of a file or folder is text in UTF-8; rename it"):
        pretrain(["a good film", "a bad film"], out=tmp_path / NOT_UTF8)
    assert not any(tmp_path.iterdir())
