"""Data sets of the hub, through `datasets`: the sets of the UDA paper by short name, any other by id."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, repeat
from math import isfinite
from typing import Any, NamedTuple

from text_uda.data.column_names import LABEL_NAMES, TEXT_NAMES, usual_columns
from text_uda.data.corpus import Corpus, Rows
from text_uda.data.held_out_test import hold_out_test, without_overlap
from text_uda.data.in_memory import SPLITS, label_name
from text_uda.data.label_spelling import class_finder, label_of
from text_uda.data.labeled_rows import LabeledRow, collect, deduplicate
from text_uda.data.row_columns import NO_COLUMNS, OtherColumns
from text_uda.data.texts import keep
from text_uda.errors import DataError, listed, reason_of
from text_uda.hub_connection import NOT_DOWNLOADED, hub_may_answer

log = logging.getLogger("text_uda")


class HubData(NamedTuple):
    """The hub id of a data set and its columns; several text columns are joined by a line break."""

    id: str
    text: tuple[str, ...]
    label: str
    description: str


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
    "imdb": HubData("stanfordnlp/imdb", ("text",), "label", "IMDb reviews, 2 classes"),
    "dbpedia": HubData(
        "fancyzhx/dbpedia_14", ("title", "content"), "label", "Wikipedia abstracts, 14 classes, 560,000 texts"
    ),
    "ag-news": HubData("fancyzhx/ag_news", ("text",), "label", "News, 4 classes, 120,000 texts"),
}

_BLOCK = 4096  # rows in memory at the same time


def load_hub(
    name: str, *, text_column: str | None, label_column: str | None, others: OtherColumns = NO_COLUMNS
) -> Corpus:
    """A data set by its short name or its id, `owner/name`.

    Raises:
        DataError: it cannot be loaded, or its text or label column is ambiguous.
    """
    known = KNOWN.get(name)
    path = known.id if known else name
    reachable = hub_may_answer(path)  # before `datasets` is imported, which remembers whether it is offline
    import datasets

    try:
        parts: Any = datasets.load_dataset(path)
    except Exception as error:  # any exception of the network or the hub
        reason = reason_of(error) if reachable else NOT_DOWNLOADED
        raise DataError(f"cannot load the data set {path!r} ({reason}); check the id and the network") from error
    return from_parts(
        name,
        parts,
        text=(text_column,) if text_column else known.text if known else None,
        label=label_column or (known.label if known else None),
        description=known.description if known else f"{path}, from the hub",
        others=others,
    )


def from_parts(
    name: str,
    parts: Any,
    *,
    text: Sequence[str] | None,
    label: str | None,
    description: str,
    others: OtherColumns = NO_COLUMNS,
) -> Corpus:
    """A corpus from a `datasets.DatasetDict` with a split named train.

    Training rows without a label become unlabeled texts, as do those of a split named unsupervised or unlabeled. The
    validation split is the test side where the labels of the test split are withheld. Other splits are named in a
    warning: development rows are drawn, or are those of `--dev`.
    """
    if "train" not in parts:
        raise DataError(f"{name} has no split named train (it has: {listed(parts)}); save it as a file")
    columns = list(parts["train"].column_names)
    text = [_column(name, columns, column, TEXT_NAMES, "--text-column") for column in (text or (None,))]
    label = _column(name, columns, label, LABEL_NAMES, "--label-column")
    feature = parts["train"].features[label]
    classes = tuple(name.strip() for name in feature.names) if hasattr(feature, "names") else None
    test_split = _test_split(name, parts, label)
    without_label: list[tuple[int, str]] = []
    read = _rows(name, "train", parts["train"], text, label, classes, others)
    train = collect(_labeled(name, "train", read, without_label.append), name, classes=classes)
    if without_label and len(train.present_labels()) < 2:
        raise DataError(
            f"{name}, split train, row {without_label[0][0]}: no label, and the labels are of one class; a classifier "
            "needs two classes"
        )
    if classes is None:
        classes = tuple(sorted(train.present_labels(), key=class_order))
    rows = train.rows(classes)
    overlap = Rows((), ())
    if test_split:
        class_of = class_finder(classes)
        read = _rows(name, test_split, parts[test_split], text, label, getattr(feature, "names", None), others)
        labeled = _labeled(name, test_split, read)
        test_rows = collect(
            ((number, row_text, class_of(value) or value) for number, row_text, value in labeled if value),
            name,
            classes=classes,
        )
        unknown = sorted({*test_rows.present_labels()} - {*classes})
        if unknown:
            raise DataError(
                f"{name}, split {test_split}: label {unknown[0]!r} is not in the training split; correct the data"
            )
        test = test_rows.rows(classes)
        rows, overlap = without_overlap(rows, test)
    else:
        rows, test = hold_out_test(rows)
    rows, repeated = deduplicate(rows)
    without_labels = [
        split for split in SPLITS["unlabeled"] if split in parts and {*text} <= {*parts[split].column_names}
    ]
    texts = (
        row_text for split in without_labels for row_text, _ in _joined(name, split, parts[split], text, others=others)
    )
    if unread := [split for split in parts if split not in ("train", test_split, *without_labels)]:
        log.warning(
            "%s: the splits %s are not read; save one as a file to give it by --dev or --test", name, listed(unread)
        )
    more = keep(row_text for row_text in chain((row_text for _, row_text in without_label), texts) if row_text.strip())
    return Corpus(name, description, classes, rows, test, more, unused=Rows.joined(repeated, overlap))


def _test_split(name: str, parts: Any, label: str) -> str | None:
    """The split of test rows: validation where the labels of test are withheld, as in GLUE."""
    if "test" not in parts:
        return None
    columns = parts["test"].column_names
    values = set(parts["test"].unique(label)) if label in columns and len(parts["test"]) else {None}
    if not values <= {None, -1}:
        return "test"
    other = next((split for split in ("validation", "dev", "valid") if split in parts), None)
    log.warning(
        "%s: the labels of the split test are withheld (-1 or none); %s",
        name,
        f"the split {other} is the test side" if other else "a fifth of the training split is the test side",
    )
    return other


def class_order(name: str) -> tuple[int, float, str]:
    """Sort key: numbers in numeric order, then words in alphabetical order."""
    with suppress(ValueError):
        if isfinite(number := float(name)):  # "nan" is a word
            return (0, number, name)
    return (1, 0.0, name)


def _column(name: str, columns: Sequence[str], column: str | None, usual: Sequence[str], option: str) -> str:
    if column is not None and column in columns:
        return column
    matches = [] if column else usual_columns(columns, usual)
    if len(matches) != 1:
        several = f"several columns with a usual name ({listed(matches)})"
        missing = several if matches else f"no column {column!r}" if column else "no column with a usual name"
        raise DataError(f"{name} has {missing}; it has: {listed(columns)}. Name one of them with {option}")
    return matches[0]


def _labeled(
    name: str,
    part: str,
    rows: Iterable[tuple[int, str, str | None]],
    without_label: Callable[[tuple[int, str]], None] = lambda row: None,
) -> Iterator[LabeledRow]:
    """The rows with a text and a label; the texts of the others go to `without_label`, and a warning counts them."""
    blank: list[int] = []
    unlabeled: list[int] = []
    for number, text, label in rows:
        if not text.strip():
            blank.append(number)
        elif label is None:
            unlabeled.append(number)
            without_label((number, text))
        else:
            yield number, text, label
    for numbers, lack, consequence in (
        (blank, "text", "dropped"),
        (unlabeled, "label", "they are unlabeled texts" if part == "train" else "dropped"),
    ):
        if numbers:
            log.warning(
                "%s, split %s: %d rows have no %s (the first is row %d); %s",
                name,
                part,
                len(numbers),
                lack,
                numbers[0],
                consequence,
            )


def _rows(
    name: str,
    part: str,
    rows: Any,
    text: Sequence[str],
    label: str,
    classes: Sequence[str] | None,
    others: OtherColumns = NO_COLUMNS,
) -> Iterator[tuple[int, str, str | None]]:
    """(row number, text, label name); the label is None for null, NaN, and -1 beside named classes."""
    for number, (row_text, value) in enumerate(_joined(name, part, rows, text, label, others), start=1):
        if isinstance(value, list | dict):
            raise DataError(
                f"{name}, split {part}, row {number}: {label!r} is {value!r:.40}, not one label; name another with "
                "--label-column"
            )
        if classes is None or not isinstance(value, int):
            yield number, row_text, label_of(value)
        elif -1 <= value < len(classes):
            yield number, row_text, classes[value].strip() if value >= 0 else None
        else:
            raise DataError(
                f"{name}, split {part}, row {number}: {label!r} is {value}, and there are {len(classes)} classes; "
                "correct the data"
            )


def _joined(
    name: str,
    part: str,
    rows: Any,
    text: Sequence[str],
    label: str | None = None,
    others: OtherColumns = NO_COLUMNS,
) -> Iterator[tuple[str, Any]]:
    """Text, with the other columns, and label of each row, read in blocks from the files of `datasets`."""
    source = f"{name}, split {part}"
    read = others.reader(source, rows.column_names, lambda number: f"{source}, row {number}", but=(*text, label))
    columns = rows.select_columns([*text, *([label] if label else []), *others.names])
    names = {column: getattr(rows.features[column], "names", None) for column in others.names}  # of a ClassLabel
    for start in range(0, len(rows), _BLOCK):
        block = columns[start : start + _BLOCK]
        labels = block[label] if label else repeat(None)
        for offset, (*texts, value) in enumerate(zip(*(block[column] for column in text), labels, strict=False)):
            for column, value_of in zip(text, texts, strict=True):
                if not isinstance(value_of, str | None):
                    raise DataError(
                        f"{source}, row {start + offset + 1}: {column!r} is {value_of!r:.40}, not a text; name another "
                        "column with --text-column"
                    )
            fields = {column: label_name(block[column][offset], names[column]) for column in others.names}
            yield read(start + offset + 1, fields, "\n".join(part for part in texts if part)), value
