"""Checks of tasks before they share an encoder. Each error names the task and says what to do."""

import logging
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import combinations, permutations

import numpy as np

from text_uda.data import Split
from text_uda.data.near_copies import have_near_copy
from text_uda.data.texts import joined
from text_uda.errors import SettingsError, listed
from text_uda.objectives import Method, baseline_of
from text_uda.objectives.baseline import Baseline

log = logging.getLogger("text_uda")


def check_names(names: Sequence[str]) -> None:
    """Raise SettingsError unless each name can be that of a folder, beside the others."""
    if not names:
        raise SettingsError("there is no task; give at least one, by its name")
    for name in names:
        if not name[:1].isalnum() or not all(map(_is_of_a_name, name)) or name.endswith((" ", ".")):
            raise SettingsError(
                f"task {name!r}: a task names a folder; use letters, digits, spaces, '-', '_' and '.' in its name "
                "(a label column gives its task its name)"
            )
    folded = [unicodedata.normalize("NFC", name).casefold() for name in names]
    if twice := [name for name, one in zip(names, folded, strict=True) if folded.count(one) > 1]:
        raise SettingsError(f"the tasks {' and '.join(map(repr, twice))} have one name; rename one of them")


def _is_of_a_name(character: str) -> bool:
    return character.isalnum() or character in " -_." or unicodedata.category(character) in ("Mn", "Mc")


def check_split(name: str, split: Split) -> None:
    """Raise SettingsError where a task has nothing to learn."""
    if not len(split.labeled):
        raise SettingsError(f"task {name!r} has no labeled row; give it labels, or leave the task out")
    if len(split.classes) < 2:
        classes = ", ".join(map(repr, split.classes)) or "none"
        raise SettingsError(f"task {name!r} has one class ({classes}), and a classifier needs two: leave the task out")
    if len(present := {*split.labeled.labels}) < 2:
        only = split.classes[present.pop()]
        raise SettingsError(f"all labeled rows of task {name!r} are of class {only!r}; label a row of another class")
    if split.columns:
        raise SettingsError(f"task {name!r} has columns beside the text, which `train` joins: leave them out")
    if not len(split.test):
        raise SettingsError(f"task {name!r} has no test row; give it some")


def check_same_classes(splits: Mapping[str, Split]) -> None:
    """Raise SettingsError where tasks that share a head have other classes, or the same in another order."""
    (first, of_first), *others = splits.items()
    for name, split in others:
        if split.classes != of_first.classes:
            classes = [", ".join(map(repr, one.classes)) for one in (of_first, split)]
            raise SettingsError(
                f"one head for all tasks needs one set of classes: task {first!r} has {classes[0]}, and {name!r} has "
                f"{classes[1]}; give each task a head of its own (the method joint), or leave one of them out"
            )


def shared_baseline(objectives: Mapping[str, Sequence[Method]], *, shares_head: bool) -> Baseline | None:
    """The baseline of all tasks, which a shared head makes one fit; None where they have objectives with steps.

    Raises:
        SettingsError: a baseline, which shares no encoder, beside separate heads or other objectives.
    """
    baselines = {name: baseline_of(of_task) for name, of_task in objectives.items()}
    name, baseline = next(((name, one) for name, one in baselines.items() if one is not None), ("", None))
    if baseline is None:
        return None
    words = type(baseline).__name__
    if not shares_head:
        raise SettingsError(
            f"task {name!r}: {words} is fitted on features and takes no step, so it cannot share the training of an "
            "encoder; run it by itself (`train`), fit it on the rows of all tasks (the method pooled), or choose "
            "objectives of a training step"
        )
    for other, one in baselines.items():
        if one != baseline:
            raise SettingsError(
                f"tasks {name!r} and {other!r} share one head, which {words} fits in one go on the rows of all tasks: "
                "give each task this baseline alone, or none of them"
            )
    return baseline


def check_development(splits: Mapping[str, Split]) -> None:
    """Raise SettingsError where some tasks have development rows and others none: one step is chosen for all."""
    without = [name for name, split in splits.items() if not len(split.dev)]
    if without and len(without) < len(splits):
        raise SettingsError(
            f"task {without[0]!r} has no development rows, and other tasks have some; one step is chosen for all "
            "tasks, so give some to each, or to none"
        )


def overlap_warnings(splits: Mapping[str, Split]) -> list[str]:
    """What the test rows of a task share with the rows of another task. Near copies count as one text."""
    tests: dict[tuple[str, str], str] = {}
    trained: dict[tuple[str, str], str] = {}
    for name, other in combinations(splits, 2):
        test = splits[name].test.texts
        shared = have_near_copy(test, splits[other].test.texts)
        if shared.any():
            tests[name, other] = (
                f"tasks {name!r} and {other!r} share {shared.sum():,} test texts (the first is "
                f"{_quoted(test, shared)}): their test errors are not independent"
            )
    for name, other in permutations(splits, 2):
        test = splits[name].test.texts
        seen = have_near_copy(test, joined(splits[other].labeled.texts, splits[other].unlabeled))
        if seen.any():
            trained[name, other] = (
                f"{seen.sum():,} test texts of task {name!r} are training texts of task {other!r} (the first is "
                f"{_quoted(test, seen)}): the shared encoder sees them, so the test error of {name!r} can be too low; "
                f"remove them from the training texts of {other!r}"
            )
    return [*one_line(tests), *one_line(trained)]


def nothing_shared_warning(tune: str, splits: Mapping[str, Split], *, shares_head: bool) -> list[str]:
    """That the tasks train no weight together, where the encoder is frozen."""
    if tune != "head" or shares_head or len(splits) < 2:
        return []
    return [
        "tune='head' trains no weight that the tasks share: each head learns as in a run of its own, but for the draws "
        "and the step that is chosen for all; train layers too (tune='last:2'), or share the head (the method pooled)"
    ]


def class_warnings(splits: Mapping[str, Split]) -> list[str]:
    """Class names that two tasks have, where their other classes differ. Heads are separate, so nothing is merged."""
    warnings = {}
    for name, other in combinations(splits, 2):
        here, there = set(splits[name].classes), set(splits[other].classes)
        if here != there and (common := sorted(here & there)):
            warnings[name, other] = (
                f"tasks {name!r} and {other!r} share the class name{'' if len(common) == 1 else 's'} "
                f"{', '.join(map(repr, common))}: each task has its own head, so these are different classes"
            )
    return one_line(warnings)


def one_line(warnings: Mapping[tuple[str, str], str]) -> list[str]:
    """The warning of the first pair of tasks, with the names of the other pairs."""
    if len(warnings) < 2:
        return [*warnings.values()]
    first, *others = warnings
    pairs = listed(f"{name!r} and {other!r}" for name, other in others)
    return [f"{warnings[first]}; the same holds for {pairs}"]


def _quoted(texts: Sequence[str], rows: np.ndarray) -> str:
    text = texts[int(np.flatnonzero(rows)[0])]
    return repr(text if len(text) <= 60 else text[:57] + "...")
