"""Which tasks a data set has, and a task that nobody can learn."""

from pathlib import Path

import pandas
import pytest

import text_uda
from text_uda.data import Corpus, Rows, load
from text_uda.data.named import TASKS
from text_uda.data.row_counts import describe_unused
from text_uda.data.several_tasks import load_tasks, side_by_side, tasks_of, with_random_labels
from text_uda.errors import DataError


def test_the_tasks_of_a_set_with_a_name(tmp_path):
    arguments = {"source": "rated-texts", "label_column": None, "limit": 9}
    assert tasks_of(arguments)["news"] == {"source": "news-snippets", "label_column": (), "limit": 9}
    assert list(tasks_of(arguments)) == list(TASKS["rated-texts"])
    labels = {"source": "rated-labels", "label_column": ("valence", "source")}
    assert tasks_of(labels) == {
        "valence": {"source": "rated-labels", "label_column": ("valence",), "partly_labeled": True},
        "source": {"source": "rated-labels", "label_column": ("source",), "partly_labeled": True},
    }
    assert tasks_of({"source": "movie-snippets"}) == {}
    assert tasks_of({"source": "rated-labels", "label_column": "valence"}) == {}
    (tmp_path / "t.csv").write_text("text,stars\na film,positive\n")
    beside = {"source": "rated-texts", "label_column": "stars", "test": tmp_path / "t.csv"}
    assert tasks_of(beside)["news"] == {**beside, "source": "news-snippets", "label_column": ("stars",)}


@pytest.mark.parametrize(
    ("source", "columns", "message"),
    [
        ("rated-texts", ("stars", "topic"), "rated-texts has the tasks movies, .*, and not 'stars' or 'topic'"),
        ("rated-labels", ("valence", "sorce"), "the tasks valence, disagreement, source, and not 'sorce'"),
        ("rated-texts", ("movies",), "the task 'movies' of rated-texts is the data set movie-snippets"),
    ],
)
def test_a_label_column_that_is_no_task_of_a_set_is_refused(source, columns, message):
    with pytest.raises(DataError, match=message):
        tasks_of({"source": source, "label_column": columns})


@pytest.fixture
def table(tmp_path):
    rows = [f"film {n},{n % 2},{'abc'[n % 3]}" for n in range(60)]
    (tmp_path / "a.csv").write_text("\n".join(["text,verdict,topic", *rows]) + "\n")
    return tmp_path / "a.csv"


def test_the_label_columns_of_a_file_are_tasks(table):
    assert tasks_of({"source": str(table), "label_column": "verdict"}) == {}
    tasks = load_tasks({"source": str(table), "label_column": ("verdict", "topic")})
    assert {name: corpus.classes for name, corpus in tasks.items()} == {"verdict": ("0", "1"), "topic": ("a", "b", "c")}
    assert [corpus.name for corpus in tasks.values()] == ["a (verdict)", "a (topic)"]
    for name, corpus in tasks.items():
        alone = load(table, label_column=name)
        others = len(alone.train) - len(corpus.train)
        assert others and describe_unused(corpus) == f"{others} equal a test text of another task"
    tests = {text for corpus in tasks.values() for text in corpus.test.texts}
    assert not any(tests & {*corpus.training_texts()} for corpus in tasks.values())


@pytest.mark.parametrize(
    ("columns", "beside", "message"),
    [
        (("verdict", "topix"), None, "a.csv has no column 'topix': correct the name"),
        (("verdict", "topic", "urgent"), None, "a.csv has no column 'urgent': correct the name"),
        (("verdict", "label"), "text,topic", "a.csv and .*b.csv have no column 'label'"),
        (("verdict", "topic", "is_ok"), "text,verdict,topic,is_ok", "'is_ok': with several tasks, each file"),
        (("verdict", "topic"), "text,verdict", "b.csv has no column 'topic' of a task; it has: text, verdict"),
        (("verdict", "topic"), "text,label", "b.csv has no column 'verdict' or 'topic' of a task"),
    ],
    ids=["misspelt-beside-one", "misspelt-beside-two", "in-no-file", "other-name", "of-another-task", "usual-name"],
)
@pytest.mark.parametrize("part", ["test", "dev"])
def test_a_task_is_never_read_from_the_column_of_another(table, columns, beside, message, part):
    other = table.parent / "b.csv"
    other.write_text(f"{beside}\n" + "new film,1,1,1\n" if beside else "")
    arguments = {"source": str(table), "label_column": columns} | ({part: other} if beside else {})
    with pytest.raises(DataError, match=message):
        tasks_of(arguments)


def test_an_object_with_test_rows_has_the_columns_of_the_tasks_too(table):
    arguments = {"source": str(table), "label_column": ("verdict", "topic")}
    rows = pandas.DataFrame({"text": ["one", "two"], "verdict": [1, 0], "topic": ["a", None]})
    tasks = load_tasks({**arguments, "test": rows})
    assert {name: len(corpus.test) for name, corpus in tasks.items()} == {"verdict": 2, "topic": 1}
    with pytest.raises(DataError, match="no column 'topic' of a task; it has: text, verdict"):
        tasks_of({**arguments, "dev": rows[["text", "verdict"]]})


def test_a_task_of_a_set_that_no_file_has_is_refused(table):
    arguments = {"source": "rated-labels", "label_column": ("valence", "sourc")}
    with pytest.raises(DataError, match=r"rated-labels and .*a\.csv have no column 'sourc'"):
        tasks_of({**arguments, "test": table})


@pytest.mark.parametrize("part", ["test", "dev"])
def test_one_task_can_have_another_column_in_a_file_beside_it(table, part):
    other = table.parent / "b.csv"
    other.write_text("text,is_ok\nnew,1\nold,0\n")
    arguments = {"source": str(table), "label_column": ("verdict", "is_ok"), part: other}
    assert tasks_of(arguments) == {}
    corpus = load(**arguments)
    assert len(corpus.test if part == "test" else corpus.dev) == 2


@pytest.mark.parametrize("part", ["test", "dev"])
def test_a_row_of_a_file_counts_for_the_tasks_whose_label_it_has(table, caplog, part):
    other = table.parent / "b.csv"
    other.write_text("text,verdict,topic\none,1,\ntwo,0,a\nthree,,b\nfour,,c\n")
    arguments = {"source": str(table), "label_column": ("verdict", "topic"), part: other}
    tasks = load_tasks(arguments)
    texts = {name: (corpus.test if part == "test" else corpus.dev).texts for name, corpus in tasks.items()}
    assert {name: [*of_task] for name, of_task in texts.items()} == {
        "verdict": ["one", "two"],
        "topic": ["two", "three", "four"],
    }
    left_out = [message for message in caplog.messages if "left out" in message]
    assert [message.partition("b.csv: ")[2] for message in left_out] == [
        "left out 2 of 4 rows, without a label in 'verdict' (the first is row 4)",
        "left out 1 of 4 rows, without a label in 'topic' (the first is row 2)",
    ]
    with pytest.raises(DataError, match="row 4: no label in 'verdict'"):
        load(table, label_column="verdict", **{part: other})
    other.write_text("text,verdict,topic\none,1,\n")
    with pytest.raises(DataError, match=r"b\.csv: no row has a label in 'topic'"):
        load_tasks(arguments)


def test_random_labels_are_the_same_each_time_and_say_nothing(table):
    corpus = load(table, label_column="verdict")
    random = with_random_labels(corpus)
    assert random == with_random_labels(corpus) and random.name == "a (random labels)"
    assert random.train.texts == corpus.train.texts and random.test.texts == corpus.test.texts
    agree = [one == other for one, other in zip(random.train.labels, corpus.train.labels, strict=True)]
    assert 0.25 < sum(agree) / len(agree) < 0.75
    large = Corpus("n", "", ("a", "b"), Rows(tuple(map(str, range(2000))), (0,) * 2000), Rows(("x",), (0,)))
    assert 900 < sum(with_random_labels(large).train.labels) < 1100


def test_names_tell_tasks_apart_only_where_they_must(table):
    one, other = (load(table, label_column=name) for name in ("verdict", "topic"))
    assert [corpus.name for corpus in side_by_side({"x": one}).values()] == ["a"]
    assert [corpus.name for corpus in side_by_side({"x": one, "y": other}).values()] == ["a (x)", "a (y)"]


def test_the_example_of_the_page_trains_on_no_test_text_of_another_task(table):
    """By the public names, as a script calls them."""
    corpora = {name: text_uda.load(table, label_column=name) for name in ("verdict", "topic")}
    seen = {*corpora["topic"].training_texts()} & {*corpora["verdict"].test.texts}
    assert seen
    parts = {name: text_uda.split(one, labels=6, seed=0) for name, one in text_uda.side_by_side(corpora).items()}
    assert not seen & {*parts["topic"].labeled.texts, *parts["topic"].unlabeled}
    page = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text("utf-8")
    example = page.partition("```python\n")[2].partition("```")[0]
    assert "corpora = side_by_side(" in example and "split(corpus" in example
