"""Which tasks a data set has, and a task that nobody can learn."""

from pathlib import Path

import pytest

import text_uda
from text_uda.data import Corpus, Rows, load
from text_uda.data.named import TASKS
from text_uda.data.several_tasks import load_tasks, side_by_side, tasks_of, with_random_labels
from text_uda.errors import DataError


def test_the_tasks_of_a_set_with_a_name():
    arguments = {"source": "rated-texts", "label_column": None, "limit": 9}
    assert tasks_of(arguments)["news"] == {"source": "news-snippets", "label_column": (), "limit": 9}
    assert list(tasks_of(arguments)) == list(TASKS["rated-texts"])
    labels = {"source": "rated-labels", "label_column": ("valence", "source")}
    assert tasks_of(labels) == {
        "valence": {"source": "rated-labels", "label_column": ("valence",)},
        "source": {"source": "rated-labels", "label_column": ("source",)},
    }
    assert tasks_of({"source": "movie-snippets"}) == {}
    assert tasks_of({"source": "rated-labels", "label_column": "valence"}) == {}
    beside = {"source": "rated-texts", "label_column": "stars", "test": "t.csv"}
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
    tasks = load_tasks({"source": str(table), "label_column": ("verdict", "topic", "elsewhere")})
    assert {name: corpus.classes for name, corpus in tasks.items()} == {"verdict": ("0", "1"), "topic": ("a", "b", "c")}
    assert [corpus.name for corpus in tasks.values()] == ["a (verdict)", "a (topic)"]
    tests = {text for corpus in tasks.values() for text in corpus.test.texts}
    assert not any(tests & {*corpus.training_texts()} for corpus in tasks.values())


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
