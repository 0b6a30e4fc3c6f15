"""The data of several tasks: label columns of one file, and training sides without the test texts of other tasks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from text_uda.data.arrow_records import is_saved_dataset_dict
from text_uda.data.corpus import Corpus, Rows
from text_uda.data.held_out_test import without_overlap
from text_uda.data.in_memory import as_table
from text_uda.data.lines import STDIN
from text_uda.data.named import EMBEDDED, TASKS
from text_uda.data.near_copies import have_near_copy
from text_uda.data.tables import Table, names_files, open_table
from text_uda.data.texts import take_texts
from text_uda.errors import DataError, listed
from text_uda.keyed_random import keyed_seed


def columns_among(source: str, names: Sequence[str]) -> list[str]:
    """Those of the names that a file has as columns, each once; [] for a data set that is no file."""
    if source == STDIN or source in EMBEDDED or not names_files(source) or is_saved_dataset_dict(Path(source)):
        return []
    columns = open_table(Path(source), named=names).columns
    return [name for name in dict.fromkeys(names) if name in columns]


def tasks_of(arguments: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The arguments of `load` for each task of a data set, by the name of the task; empty unless it has two or more.

    The tasks of a set with a short name (`TASKS`) are its own: all of them, or those that `label_column` names. Those
    of a file are its label columns in `arguments`. A task reads the files with test and development rows by its own
    label column, and leaves out their rows without this label. The label column of a single task, and of tasks that are
    data sets by themselves, can have another name there.

    Raises:
        DataError: a label column that is no task of the set, or that neither DATA nor a file beside it has; a task
            whose column a file beside it lacks; or one task of a set whose tasks are data sets by themselves.
    """
    source, columns = str(arguments["source"]), arguments.get("label_column") or ()
    columns = (columns,) if isinstance(columns, str) else tuple(columns)
    of_set = TASKS.get(source, {})
    names = [name for name in of_set if name in columns] if of_set else columns_among(source, columns)
    others = tuple(name for name in columns if name not in names)
    files = _files_beside(arguments, columns) if of_set or names else []
    if of_set:
        _check_tasks_of_set(source, names, () if files else others)
    if of_set or names:
        _check_others(source, files, others)
    names = names or list(of_set)
    if len(names) < 2:
        return {}
    are_columns = not of_set or "label_column" in of_set[names[0]]
    if are_columns:
        _check_columns(source, files, names, others)
    tasks: dict[str, dict[str, Any]] = {}
    for name in names:
        of_task = of_set[name] if of_set else {"label_column": name}
        column = (of_task["label_column"],) if are_columns else others
        tasks[name] = {**arguments, **of_task, "label_column": column}
        if are_columns:
            tasks[name]["partly_labeled"] = True
    return tasks


def _files_beside(arguments: Mapping[str, Any], names: Sequence[str]) -> list[Table]:
    """The files and objects with test or development rows, read as far as their columns; not standard input."""
    given = [arguments[part] for part in ("test", "dev") if arguments.get(part) is not None]
    return [
        open_table(Path(one), named=names) if isinstance(one, str | Path) else as_table(one)
        for one in given
        if str(one) != STDIN
    ]


def _check_others(source: str, files: Sequence[Table], others: Sequence[str]) -> None:
    """Raise DataError for a label column that no file has, such as a misspelt one."""
    if absent := [name for name in others if not any(name in file.columns for file in files)]:
        places = " and ".join([source, *(str(file.path) for file in files)])
        raise DataError(
            f"{places} {'have' if files else 'has'} no column {' or '.join(map(repr, absent))}: correct the name, or "
            "leave it out"
        )


def _check_columns(source: str, files: Sequence[Table], names: Sequence[str], others: Sequence[str]) -> None:
    """Raise DataError unless each task finds its own label column in each file: another one has another meaning."""
    if others:
        raise DataError(
            f"{source} has no column {' or '.join(map(repr, others))}: with several tasks, each file is read by the "
            "columns of the tasks; rename the column there, or leave it out"
        )
    for file in files:
        if absent := [name for name in names if name not in file.columns]:
            raise DataError(
                f"{file.path} has no column {' or '.join(map(repr, absent))} of a task; it has:"
                f" {listed(file.columns)}. Add the column, or leave the task out"
            )


def _check_tasks_of_set(source: str, names: Sequence[str], others: Sequence[str]) -> None:
    if others:
        raise DataError(
            f"{source} has the tasks {', '.join(TASKS[source])}, and not {' or '.join(map(repr, others))}: name some "
            "of them, or none for all"
        )
    if len(names) == 1 and (single := TASKS[source][names[0]]["source"]) != source:
        raise DataError(f"the task {names[0]!r} of {source} is the data set {single}: load that one, or name two tasks")


def load_tasks(arguments: Mapping[str, Any]) -> dict[str, Corpus]:
    """The tasks of a data set, `side_by_side`; empty where it has one. Raises as `load`."""
    from text_uda.data.loading import load

    return side_by_side({name: load(**of_task) for name, of_task in tasks_of(arguments).items()})


def with_random_labels(corpus: Corpus) -> Corpus:
    """A task that nobody can learn: the texts of a data set, with one of its classes drawn by a hash of the text."""

    def drawn(rows: Rows) -> Rows:
        return Rows(rows.texts, tuple(keyed_seed("random label", text) % len(corpus.classes) for text in rows.texts))

    train, test, dev = drawn(corpus.train), drawn(corpus.test), corpus.dev and drawn(corpus.dev)
    return replace(corpus, name=f"{corpus.name} (random labels)", train=train, test=test, dev=dev)


def free_name(name: str, taken: Iterable[str]) -> str:
    """The name, with a number where it is taken; names that differ in their case alone are one."""
    folded = {one.casefold() for one in taken}
    numbered = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(one for one in numbered if one.casefold() not in folded)


def side_by_side(corpora: Mapping[str, Corpus]) -> dict[str, Corpus]:
    """The data of tasks that share an encoder: with names that tell them apart, and without the tests of others.

    The training side and the unlabeled texts of a task lose the test texts of the others, and their near copies: the
    shared encoder would have seen them. One task stays as it is. Call it before `split`.
    """
    if len(corpora) < 2:
        return dict(corpora)
    names = [corpus.name for corpus in corpora.values()]
    renamed = {
        task: replace(corpus, name=f"{corpus.name} ({task})") if names.count(corpus.name) > 1 else corpus
        for task, corpus in corpora.items()
    }
    return without_tests_of_others(renamed)


def without_tests_of_others(corpora: Mapping[str, Corpus]) -> dict[str, Corpus]:
    """The corpora, whose training sides lose the texts that are test texts of another one, and their near copies.

    An encoder that tasks share would have seen them.
    """
    separate = {}
    for name, corpus in corpora.items():
        tests = Rows.joined(Rows((), ()), *(other.test for key, other in corpora.items() if key != name))
        train, overlap = without_overlap(corpus.train, tests)
        in_test, unlabeled = have_near_copy(corpus.unlabeled, tests.texts), corpus.unlabeled
        if in_test.any():
            unlabeled = take_texts(unlabeled, np.flatnonzero(~in_test))
        separate[name] = replace(corpus, train=train, unlabeled=unlabeled, unused=Rows.joined(corpus.unused, overlap))
    return separate
