"""Data sets of a hub, through `datasets`: those of the UDA paper by name, any other by its id."""

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple

from text_uda.data.corpus import Corpus, Rows
from text_uda.data.files import LABEL_NAMES, TEXT_NAMES
from text_uda.data.labeled_rows import LabeledRow, collect, once
from text_uda.data.test_side import hold_out_test, without_overlap
from text_uda.data.texts import keep
from text_uda.errors import DataError


class HubData(NamedTuple):
    """Where a data set lies and which columns make a text; several are joined by a line break."""

    id: str
    text: tuple[str, ...]
    label: str
    description: str
    unlabeled: str | None = None
    """A split without labels, where there is one."""


KNOWN = {
    "yelp-5": HubData("Yelp/yelp_review_full", ("text",), "label", "Yelp reviews, 1 to 5 stars, 650,000 texts"),
    "yelp-2": HubData("fancyzhx/yelp_polarity", ("text",), "label", "Yelp reviews, 2 classes, 560,000 texts"),
    "amazon-5": HubData(
        "yassiracharki/Amazon_Reviews_for_Sentiment_Analysis_fine_grained_5_classes",
        ("review_title", "review_text"),
        "class_index",
        "Amazon reviews, 1 to 5 stars, 3 million texts",
    ),
    "amazon-2": HubData(
        "fancyzhx/amazon_polarity", ("title", "content"), "label", "Amazon reviews, 2 classes, 3.6 million texts"
    ),
    "imdb": HubData("stanfordnlp/imdb", ("text",), "label", "IMDb reviews, 2 classes", "unsupervised"),
    "dbpedia": HubData(
        "fancyzhx/dbpedia_14", ("title", "content"), "label", "Wikipedia abstracts, 14 classes, 560,000 texts"
    ),
    "ag-news": HubData("fancyzhx/ag_news", ("text",), "label", "News, 4 classes, 120,000 texts"),
}

_BLOCK = 4096  # rows in memory at one time


def load_hub(name: str, *, text_column: str | None, label_column: str | None) -> Corpus:
    """A data set by its short name or its id, `owner/name`.

    Raises:
        DataError: it cannot be had, or which column is which is not clear.
    """
    import datasets

    known = KNOWN.get(name)
    path = known.id if known else name
    try:
        parts: Any = datasets.load_dataset(path)
    except Exception as error:  # whatever the network, the hub and its scripts come up with
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"cannot load the data set {path!r} ({reason}); check the id and the network") from error
    return from_parts(
        name,
        parts,
        text=(text_column,) if text_column else known.text if known else None,
        label=label_column or (known.label if known else None),
        description=known.description if known else f"{path}, of the hub",
        unlabeled=known.unlabeled if known else None,
    )


def from_parts(
    name: str,
    parts: Any,
    *,
    text: Sequence[str] | None,
    label: str | None,
    description: str,
    unlabeled: str | None = None,
) -> Corpus:
    """A corpus of what `datasets` gives, a mapping of splits of which one is called train."""
    if "train" not in parts:
        raise DataError(f"{name} has no split named train (it has: {', '.join(map(str, parts))}); save it as a file")
    columns = list(parts["train"].column_names)
    text = [_column(name, columns, each, TEXT_NAMES, "--text-column") for each in (text or (None,))]
    label = _column(name, columns, label, LABEL_NAMES, "--label-column")
    feature = parts["train"].features[label]
    classes = tuple(feature.names) if hasattr(feature, "names") else None
    train = collect(_rows(name, "train", parts["train"], text, label, classes))
    if classes is None:
        classes = tuple(sorted(train.labels_there(), key=class_order))
    rows = train.rows(classes)
    overlap = Rows((), ())
    if "test" in parts:
        found = collect(_rows(name, "test", parts["test"], text, label, classes))
        strange = sorted({*found.labels_there()} - {*classes})
        if strange:
            raise DataError(f"{name}, split test: label {strange[0]!r} is not in the training split; correct the data")
        test = found.rows(classes)
        rows, overlap = without_overlap(rows, test)
    else:
        rows, test = hold_out_test(rows)
    rows, repeated = once(rows)
    more: Sequence[str] = ()
    if unlabeled and unlabeled in parts:
        more = keep(each for each, _ in _joined(parts[unlabeled], text) if each.strip())
    return Corpus(name, description, classes, rows, test, more, unused=Rows.joined(repeated, overlap))


def class_order(name: str) -> tuple[int, float, str]:
    """Numbers by their size, then words by the alphabet."""
    try:
        return (0, float(name), name)
    except ValueError:
        return (1, 0.0, name)


def _column(name: str, columns: Sequence[str], asked: str | None, usual: Sequence[str], option: str) -> str:
    if asked is not None and asked in columns:
        return asked
    found = None if asked else next((each for each in usual if each in columns), None)
    if found is None:
        which = f"no column {asked!r}" if asked else "no column that is clearly the one"
        raise DataError(f"{name} has {which}; it has: {', '.join(columns)}. Name one of them with {option}")
    return found


def _rows(
    name: str, part: str, rows: Any, text: Sequence[str], label: str, classes: Sequence[str] | None
) -> Iterator[LabeledRow]:
    """Those that have a text; a label by its name."""
    for number, (each, value) in enumerate(_joined(rows, text, label), start=1):
        if value is None or (classes is not None and isinstance(value, int) and not 0 <= value < len(classes)):
            raise DataError(f"{name}, split {part}, row {number}: no label; take the row out, or name another split")
        if each.strip():
            yield number, each, classes[value] if classes is not None and isinstance(value, int) else str(value)


def _joined(rows: Any, text: Sequence[str], label: str | None = None) -> Iterator[tuple[str, Any]]:
    """Text and label of each row, read in blocks: `datasets` keeps them in files."""
    columns = rows.select_columns([*text, *([label] if label else [])])
    for start in range(0, len(rows), _BLOCK):
        block = columns[start : start + _BLOCK]
        labels = block[label] if label else repeat(None)
        for *texts, value in zip(*(block[each] for each in text), labels, strict=False):
            yield "\n".join(each for each in texts if each), value
