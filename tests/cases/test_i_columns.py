"""Case I: columns of several files, several --unlabeled, and every other option that is given twice."""

import json
import logging

import click
import pytest
from click.testing import CliRunner

from text_uda.cli import main
from text_uda.cli.app import VERBS
from text_uda.data import load
from text_uda.errors import DataError


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def data(tmp_path):
    return write(tmp_path / "data.jsonl", [{"review_body": f"text {n}", "stars": n % 2} for n in range(60)])


def refused(*words: object) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 2, result.output
    return result.stderr.splitlines()[-1]


def test_a_file_beside_data_is_read_by_its_usual_name(data, tmp_path, caplog):
    more = write(tmp_path / "more.jsonl", [{"text": f"more {n}"} for n in range(60)])
    corpus = load(data, text_column="review_body", unlabeled=more)
    assert len(corpus.unlabeled) == 60
    assert "more.jsonl has no column 'review_body': its texts are read from 'text'" in caplog.text


def test_the_advice_does_not_break_data(data, tmp_path):
    more = write(tmp_path / "more.jsonl", [{"foo": "more 1", "bar": "x"}])
    command = ("data", data, "--text-column", "review_body", "--unlabeled", more)
    line = refused(*command)
    assert "more.jsonl: which column is the text? It has: foo, bar" in line and "Add a second --text-column" in line
    result = CliRunner().invoke(main, [*map(str, command), "--text-column", "foo", "--json"])
    assert result.exit_code == 0 and json.loads(result.stdout.splitlines()[-1])["unlabeled"] == 1


@pytest.mark.parametrize("side", ["test", "dev"])
def test_rows_beside_data_have_columns_of_their_own(data, tmp_path, side, caplog):
    rows = write(tmp_path / "side.jsonl", [{"sentence": f"side {n}", "label": n % 2} for n in range(6)])
    corpus = load(data, text_column="review_body", label_column="stars", **{side: rows})
    assert len(getattr(corpus, side)) == 6 and "its labels are read from 'label'" in caplog.text
    named = load(data, text_column=("review_body", "sentence"), label_column=("stars", "label"), **{side: rows})
    assert getattr(named, side) == getattr(corpus, side)


def test_two_columns_of_one_file_are_refused(data):
    with pytest.raises(DataError, match="has the columns 'review_body' and 'stars', and --text-column names one"):
        load(data, text_column=("review_body", "stars"))


def test_all_unlabeled_files_are_read(data, tmp_path):
    files = [write(tmp_path / f"{name}.jsonl", [{"text": f"{name} {n}"} for n in range(40)]) for name in "ab"]
    words = [word for file in files for word in ("--unlabeled", str(file))]
    result = CliRunner().invoke(main, ["data", str(data), *words, "--json"])
    assert json.loads(result.stdout.splitlines()[-1])["unlabeled"] == 80
    assert len(load(data, unlabeled=[str(file) for file in files]).unlabeled) == 80


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("data", "x.csv", "--test", "a.csv", "--test", "b.csv"), "--test"),
        (("data", "x.csv", "--limit", "3", "--limit=4"), "--limit"),
        (("train", "x.csv", "--labels", "3", "--labels", "4", "--out", "r"), "--labels"),
        (("train", "x.csv", "--labels", "3", "--resume", "--no-resume", "--out", "r"), "--resume/--no-resume"),
        (("paraphrase", "x.csv", "--method", "eda", "--cache", "a", "--method", "synonym"), "--method"),
        (("cache", "export", ".", "--out", "a.csv", "--out", "b.csv"), "--out"),
    ],
)
def test_an_option_of_one_value_is_given_once(words, name):
    assert f"{name} is given 2 times and takes one value; give it once" in refused(*words)


def test_a_flag_can_be_repeated(data):
    assert CliRunner().invoke(main, ["data", str(data), "--json", "--json"]).exit_code == 0


def test_every_verb_refuses_a_repeated_option():
    """No verb has a command class of its own that would let the last value win."""
    from text_uda.cli.grouped_help import GroupedCommand

    def commands(command):
        if not isinstance(command, click.Group):
            return [command]
        return [
            leaf for name in command.list_commands(click.Context(command)) for leaf in commands(command.commands[name])
        ]

    leaves = [leaf for verb in VERBS for leaf in commands(main.commands[verb])]
    assert len(leaves) > len(VERBS) and all(isinstance(leaf, GroupedCommand) for leaf in leaves)


def test_train_asks_for_forgotten_unlabeled_texts(data, tmp_path, caplog):
    from text_uda.augment.aeda import AEDA
    from text_uda.cli.data_options import DataChoice
    from text_uda.paraphrasing.cache_access import paraphrase

    more = write(tmp_path / "more.jsonl", [{"text": f"more {n}"} for n in range(25)])
    whole = DataChoice(source=str(data), unlabeled=(more,))
    paraphrase(whole.training_texts(), AEDA(), tmp_path / "cache", samples=2)
    with caplog.at_level(logging.WARNING):
        whole.warn_of_left_out_texts(AEDA(), str(tmp_path / "cache"))
        assert "unlabeled" not in caplog.text
        DataChoice(source=str(data)).warn_of_left_out_texts(AEDA(), str(tmp_path / "cache"))
    assert "holds paraphrases of 25 texts that are not in this data: was --unlabeled left out?" in caplog.text


@pytest.mark.parametrize("option", ["text", "label"])
def test_two_columns_with_one_usual_name_are_not_guessed(tmp_path, option):
    path = tmp_path / "a.csv"
    names = {"text": "Text, TEXT, label", "label": "text, Label, LABEL"}[option]
    path.write_text(f"{names}\n" + "".join(f"text {n},other {n % 3},{n % 2}\n" for n in range(40)))
    with pytest.raises(DataError, match=rf"which column is the {option}\? It has: {names}. Name one of them with --"):
        load(path)
