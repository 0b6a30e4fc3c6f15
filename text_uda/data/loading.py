"""Loads a data set: finds its rows, removes overlaps between its sides, and limits its size."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from heapq import nsmallest
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from text_uda.data.arrow_records import is_saved_dataset_dict, load_saved
from text_uda.data.columns import LABEL, TEXT, Columns, Names
from text_uda.data.corpus import Corpus, Rows
from text_uda.data.files import read_labeled, read_texts
from text_uda.data.held_out_test import hold_out_test, without_overlap
from text_uda.data.hub import KNOWN, class_order, load_hub
from text_uda.data.in_memory import as_table, class_names, parts_of, refuse_names_of_files
from text_uda.data.labeled_rows import Labeled, collect, collect_parts, deduplicate, noting_blanks
from text_uda.data.lines import STDIN, read_stdin
from text_uda.data.named import EMBEDDED, hint, load_embedded
from text_uda.data.near_copies import have_near_copy
from text_uda.data.row_columns import OtherColumns, row_key
from text_uda.data.tables import Table, are_names_of_files, data_name, names_files, open_table
from text_uda.data.texts import MappedTexts, distinct_places, keep, take_texts
from text_uda.errors import DataError, listed
from text_uda.hub_connection import is_local, why_local
from text_uda.keyed_random import keyed_seed

log = logging.getLogger("text_uda")


class UnusableLabelsError(DataError):
    """The labels of DATA make no task of classification; its texts are fine."""


def load(
    source: Any,
    *,
    text_column: Names = None,
    label_column: Names = None,
    unlabeled: Any = None,
    test: Any = None,
    dev: Any = None,
    limit: int | None = None,
    numeric: Names = None,
    categorical: Names = None,
    vector: Names = None,
    with_labels: bool = True,
    partly_labeled: bool = False,
) -> Corpus:
    """A data set by name, by hub id, from files, or from objects.

    Files are csv, tsv, jsonl, json, parquet or txt (one text a line), also compressed (gz, bz2, xz, zst, lz4, zip); all
    files of a folder, or of a pattern such as "data/*.csv"; a folder that `datasets` saved.

    Objects are a list of texts, a tuple (texts, labels), a pandas DataFrame, a `datasets.Dataset`, or a dict of these
    with the keys train, test and validation, such as a `datasets.DatasetDict`.

    The training side has each text once, with its first label; test and development rows keep duplicates. Texts of the
    test side and their near copies (case, punctuation, spaces) are removed from the training side and the unlabeled
    texts. Rows without a label (blank, None, NaN) are unlabeled texts. Without a label column, all texts are unlabeled:
    such a corpus has no classes, and no test side is held out.

    Args:
        source: a name, an id, a path, "-" (standard input, one text a line), or an object.
        text_column, label_column: by default columns with a usual name. With several names, each file is read by the
            one that it has, and a data set of the hub by the first; a file beside `source` that has none of them is
            read by a usual name, with a warning.
        unlabeled: a file of more texts, a list of paths, or an object. A file can have any size: it is streamed to disk
            and uses 16 bytes of memory per text (64 during the read); labels in it are ignored.
        test: a file or an object of test rows; the default test side of a file is a fixed fifth of each class.
        dev: a file or an object of development rows, which replace the rows that a split would draw from the training
            side; the training side loses their texts. Rows with the text of a test row are dropped with a warning.
        limit: the most training texts, labeled texts first, and the most test rows. If all classes fit, the training
            texts are of all classes.
        numeric, categorical, vector: columns to read beside the text, in each file and object: numbers; categories;
            lists of numbers, all of one length. A blank field, None or NaN is missing. Rows are then distinct by text
            and columns.
        with_labels: False takes all rows of a file or an object as texts without labels.
        partly_labeled: a test or development row without a label is left out, with a warning, and is no error: it has
            the label of another task.
    Raises:
        DataError: there is no such data set, or a file or object is invalid; the message names file, row and remedy.
        MissingPartError: the source of the data set is not on this machine and cannot be downloaded.
    """
    columns = Columns.named(text_column, label_column, OtherColumns.named(numeric, categorical, vector))
    folder = Path(source) if isinstance(source, str | Path) and is_saved_dataset_dict(Path(source)) else None
    if folder is not None:
        source = load_saved(folder)
    if isinstance(source, Mapping):
        parts = _usable_parts(parts_of(source), columns, with_labels=with_labels)
        source, beside = parts["train"], {"test": test, "dev": dev, "unlabeled": unlabeled}
        test, dev, unlabeled = (parts.get(part) if given is None else given for part, given in beside.items())
    corpus = _corpus(source, columns, needs_test=test is None, with_labels=with_labels)
    if not corpus.classes and not (test is None and dev is None):
        raise DataError(
            f"{corpus.name} has texts and no labels ({corpus.description}): leave out its test and dev rows"
        )
    if test is not None:
        corpus = _with_test(corpus, test, columns, partly_labeled=partly_labeled)
    if dev is not None:
        corpus = _with_dev(corpus, dev, columns, partly_labeled=partly_labeled)
    more = keep(chain(corpus.unlabeled, *(_more_texts(part, columns) for part in _each(unlabeled))))
    if len(more):
        corpus = replace(corpus, unlabeled=_without_test(corpus, more))
    if folder is not None:
        corpus = replace(corpus, name=data_name(folder), description=f"the folder {folder}")
    return corpus if limit is None else _limited(corpus, limit)


def texts_of(data: Any) -> Sequence[str]:
    """The texts of an object: texts, a pandas Series or DataFrame, a `datasets.Dataset`, ..., or of a file; see `load`.

    All its rows count, also those that `load` holds out. Of a dict of splits it is the training split, and of a Corpus
    the training side.

    Raises:
        DataError: it has no text column, a text is invalid, or a string is no name of a file.
    """
    if isinstance(data, Corpus):
        return data.training_texts()
    if isinstance(data, Mapping):
        data = parts_of(data)["train"]
    columns = Columns.named(None, None)
    if isinstance(data, str) and not names_files(data):
        raise DataError(f"{data!r:.80} is no file; give a list of texts, or text_uda.data.load(NAME) for a data set")
    if isinstance(data, str | Path):
        table = _opened(data, columns)
    elif isinstance(data, MappedTexts):
        return data
    elif isinstance(data, Sequence) and all(isinstance(text, str) for text in data):
        refuse_names_of_files(data)
        return data
    else:
        table = as_table(data)
    return keep(read_texts(table, text_column=columns.text_of_data(table)))


def _usable_parts(parts: Mapping[str, Any], columns: Columns, *, with_labels: bool) -> dict[str, Any]:
    """The parts of a dict of splits: test and dev rows only with labels; dev rows are test rows if there are none."""

    def has_labels(part: str) -> bool:
        if part not in parts:
            return False
        table = _opened(parts[part], columns)
        label = columns.label_of_data(table, columns.text_of_data(table))
        return label is not None and any(record[label] not in (None, -1) for _, record in table.records([label]))

    usable = {part: data for part, data in parts.items() if part in ("train", "unlabeled")}
    if with_labels and has_labels("train"):
        usable |= {part: parts[part] for part in ("test", "dev") if has_labels(part)}
        if unlabeled := {"test", "dev"} & parts.keys() - usable.keys():
            log.warning("left out the %s rows: they have no labels", " and ".join(sorted(unlabeled)))
        if "test" not in usable and "dev" in usable:
            log.warning("there is no test split with labels: the validation split is the test side")
            usable["test"] = usable.pop("dev")
    return usable


def _corpus(source: Any, columns: Columns, *, needs_test: bool, with_labels: bool) -> Corpus:
    name = str(source) if isinstance(source, str | Path) else None
    if name in EMBEDDED:
        return load_embedded(name, columns.labels, columns.others)
    if name is None or name == STDIN or names_files(name):
        table = _opened(source, columns)
        text = columns.text_of_data(table)
        label = columns.label_of_data(table, text) if with_labels else None
        if label is None:
            why = "no label column" if with_labels else "the labels are ignored"
            return _texts_alone(table, keep(read_texts(table, text_column=text, others=columns.others)), why)
        order = class_names(source, label)
        return _labeled(table, text, label, columns.others, needs_test=needs_test, order=order)
    if name in KNOWN or (name.count("/") == 1 and not is_local(name)):
        names = {"text_column": columns.only_name(TEXT), "label_column": columns.only_name(LABEL)}
        return load_hub(name, **names, others=columns.others)
    why = why_local(name) if is_local(name) else ""
    raise DataError(f"no data set and no file {name!r}{why}; {hint(name)}")


def _opened(source: Any, columns: Columns) -> Table:
    if not isinstance(source, str | Path):
        return as_table(source)
    if str(source) == STDIN:
        return Table(Path("standard input"), *read_stdin())
    return open_table(Path(source), named=(*columns.texts, *columns.labels))


def _labeled(
    table: Table, text: str, label: str, others: OtherColumns, *, needs_test: bool, order: Sequence[str] | None
) -> Corpus:
    """
    Args:
        needs_test: False if other rows replace the test side.
        order: the names of the classes in their order, None to sort them.
    """
    rows = read_labeled(table, text_column=text, label_column=label, blank_labels="unlabeled", others=others)
    labeled, blank = collect_parts(rows, table.path, classes=order, column=label)
    if not len(labeled):
        return _texts_alone(table, blank.texts, f"no label in {label!r}")
    classes = _classes(table, labeled, order)
    _warn_of_conflicts(table.path, labeled, "training uses the first label")
    train, test = hold_out_test(labeled.rows(classes))
    if needs_test and not len(test):
        raise UnusableLabelsError(
            f"{table.path}: {len(labeled)} rows are too few for a training and a test side; add rows, or a --test file"
        )
    if needs_test:
        _warn_of_untested(table.path, classes, test)
    train, repeated = deduplicate(train)
    return Corpus(
        data_name(table.path), _described(table), classes, train, test, unlabeled=blank.texts, unused=repeated
    )


def _described(table: Table) -> str:
    return f"the file {table.path.name}" if table.path.suffix else str(table.path)


def _texts_alone(table: Table, texts: Sequence[str], why: str) -> Corpus:
    distinct = take_texts(texts, distinct_places(texts))
    others = f"; columns: {listed(table.columns)}" if len(table.columns) > 1 else ""
    repeated = f", {len(texts) - len(distinct):,} repeated" if len(distinct) < len(texts) else ""
    description = f"{_described(table)}: {len(texts):,} texts{repeated}, {why}{others}"
    return Corpus(data_name(table.path), description, (), Rows((), ()), Rows((), ()), unlabeled=distinct)


def _classes(table: Table, labeled: Labeled, order: Sequence[str] | None) -> tuple[str, ...]:
    present = labeled.present_labels()
    classes = tuple(name for name in order if name in present) if order else tuple(sorted(present, key=class_order))
    if len(classes) < 2:
        raise UnusableLabelsError(
            f"{table.path}: every row has the label {present[0]!r}; a classifier needs two classes or more"
        )
    if len(classes) > max(50, len(labeled) // 2):
        raise UnusableLabelsError(
            f"{table.path}: {len(classes):,} different labels in {len(labeled):,} rows; is --label-column the right"
            " column?"
        )
    return classes


def _with_test(corpus: Corpus, source: Any, columns: Columns, *, partly_labeled: bool) -> Corpus:
    labeled, name = _read_beside(corpus, source, columns, partly_labeled=partly_labeled)
    test = labeled.rows(corpus.classes)
    _warn_of_absent(name, corpus.classes, test, "the test error says nothing of them")
    train, overlap = without_overlap(Rows.joined(corpus.train, corpus.test, corpus.unused), test)
    train, repeated = deduplicate(train)
    return replace(corpus, train=train, test=test, unused=Rows.joined(repeated, overlap))


def _with_dev(corpus: Corpus, source: Any, columns: Columns, *, partly_labeled: bool) -> Corpus:
    labeled, name = _read_beside(corpus, source, columns, partly_labeled=partly_labeled)
    dev = labeled.rows(corpus.classes)
    in_test = have_near_copy(dev.texts, corpus.test.texts)
    if in_test.all():
        raise DataError(f"{name}: all of its texts are test rows; use development rows with other texts")
    if in_test.any():
        log.warning(
            "%s: dropped %d development rows (the first is row %d) with the text of a test row",
            name,
            in_test.sum(),
            labeled.numbers[in_test][0],
        )
        dev = dev.take(np.flatnonzero(~in_test))
    train, overlap = without_overlap(corpus.train, dev)
    _warn_of_absent(name, corpus.classes, dev, "the selection of the model does not count them")
    return replace(corpus, train=train, dev=dev, unused=Rows.joined(corpus.unused, overlap))


def _read_beside(corpus: Corpus, source: Any, columns: Columns, *, partly_labeled: bool) -> tuple[Labeled, Path]:
    """The labeled rows of a file or object beside DATA, and its name for messages."""
    table = _opened(source, columns)
    text = columns.text_of_other(table)
    label = columns.label_of_other(table, text)
    rows = read_labeled(
        table,
        text_column=text,
        label_column=label,
        classes=corpus.classes,
        blank_labels="unlabeled" if partly_labeled else "refuse",
        others=columns.others,
    )
    without: list[int] = []
    labeled = collect(noting_blanks(rows, without), table.path, classes=corpus.classes)
    if without and not len(labeled):
        raise DataError(
            f"{table.path}: no row has a label in {label!r}; add labels, or leave out this task or the file"
        )
    if without:
        of_all = f"{len(without):,} of {len(without) + len(labeled):,}"
        log.warning(
            "%s: left out %s rows, without a label in %r (the first is row %d)", table.path, of_all, label, without[0]
        )
    _warn_of_conflicts(table.path, labeled, "all rows count")
    return labeled, table.path


def _each(unlabeled: Any) -> Sequence[Any]:
    """The files or objects of unlabeled texts."""
    if unlabeled is None:
        return ()
    if not isinstance(unlabeled, list | tuple):
        return (unlabeled,)
    if not all(isinstance(part, str | Path) for part in unlabeled):
        return (unlabeled,)
    files = any(isinstance(part, Path) for part in unlabeled) or not unlabeled or are_names_of_files(unlabeled)
    return unlabeled if files else (unlabeled,)


def _more_texts(source: Any, columns: Columns) -> Sequence[str]:
    table = _opened(source, columns)
    return keep(read_texts(table, text_column=columns.text_of_other(table), others=columns.others))


def _without_test(corpus: Corpus, more: Sequence[str]) -> Sequence[str]:
    """The distinct texts that are not on the training side and have no near copy on the test side."""
    more = take_texts(more, distinct_places(more, but=(corpus.train.texts,)))
    in_test = have_near_copy(more, corpus.test.texts)
    if in_test.any():
        log.warning(
            "%s: dropped %d unlabeled texts that equal a test row except for case, punctuation and spaces",
            corpus.name,
            in_test.sum(),
        )
        more = take_texts(more, np.flatnonzero(~in_test))
    return more


def _warn_of_conflicts(path: Path, labeled: Labeled, consequence: str) -> None:
    conflicts = labeled.conflicts()
    if len(conflicts):
        log.warning(
            "%s: %d rows have the text of an earlier row with another label (the first is row %d); %s",
            path,
            len(conflicts),
            conflicts[0],
            consequence,
        )


def _warn_of_absent(path: Path, classes: Sequence[str], rows: Rows, consequence: str) -> None:
    present = set(rows.labels)
    absent = [name for number, name in enumerate(classes) if number not in present]
    if absent:
        log.warning("%s has no row of %s: %s", path, _listed(absent), consequence)


def _warn_of_untested(path: Path, classes: Sequence[str], test: Rows) -> None:
    """Name the classes of one text, which stays on the training side."""
    tested = set(test.labels)
    untested = [name for number, name in enumerate(classes) if number not in tested]
    if untested:
        log.warning(
            "%s: too few texts of %s for a test row: they are for training, and the test error says nothing of them",
            path,
            _listed(untested),
        )


def _listed(names: Sequence[str]) -> str:
    shown = listed(map(repr, names), most=5)
    return f"class {shown}" if len(names) == 1 else f"{len(names)} classes ({shown})"


def _limited(corpus: Corpus, limit: int) -> Corpus:
    def order(texts: Sequence[str], count: int) -> list[int]:
        """The indices of the texts with the smallest hashes; memory grows with `count` only."""
        keyed = ((keyed_seed("limit", row_key(text)), index) for index, text in enumerate(texts))
        return [index for _, index in nsmallest(count, keyed)]

    def fewer(rows: Rows, *, all_classes: bool) -> Rows:
        places = order(rows.texts, limit)
        if all_classes:
            places = _with_each_class(rows, places, len(corpus.classes))
        return rows.take(np.array(sorted(places), dtype=np.int64))

    train = fewer(corpus.train, all_classes=True)
    more = order(corpus.unlabeled, max(0, limit - len(train)))
    unlabeled = take_texts(corpus.unlabeled, np.array(more, dtype=np.int64))
    test = fewer(corpus.test, all_classes=False)
    return replace(corpus, train=train, test=test, unlabeled=unlabeled, unused=Rows((), ()))


def _with_each_class(rows: Rows, places: list[int], classes: int) -> list[int]:
    """The places, the last of them replaced so that each class has a row, if there are enough places."""
    labels = np.asarray(rows.labels, dtype=np.int64)
    absent = sorted({*labels.tolist()} - {*labels[places].tolist()})
    if not absent or len(places) < classes:
        return places
    _, firsts = np.unique(labels[places], return_index=True)  # the first place of each class stays
    in_order = sorted(range(len(places)), key=lambda index: (index not in firsts, index))
    kept = [places[index] for index in in_order[: len(places) - len(absent)]]
    return kept + [
        min(np.flatnonzero(labels == label).tolist(), key=lambda place: keyed_seed("limit", row_key(rows.texts[place])))
        for label in absent
    ]
