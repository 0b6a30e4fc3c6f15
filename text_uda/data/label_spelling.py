"""One name for a class, however formats spell it: 1, 1.0 and "1.0"; True and "true"."""

import logging
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

log = logging.getLogger("text_uda")

_WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))\.0*")
_NUMBER = re.compile(r"-?\d+(?:\.\d*)?")
_INTEGER = re.compile(r"-?\d+")
_TRUTH = {"true": "1", "false": "0"}
_NO_LABEL_WORDS = frozenset(("nan", "na", "n/a", "#n/a", "<na>", "nat", "null", "none", "nil", r"\n"))


def label_of(value: Any) -> str | None:
    """The label of a field, without blanks around it; None for no label: null, NaN, or blank."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


def one_spelling(names: Sequence[str]) -> dict[str, str]:
    """The class of each label of a file, as far as the labels together leave no doubt.

    1.0 is the class 1 if no label has decimals or if 1 occurs too; true is True if no label is another word.
    """
    whole = {name: _whole(name) for name in names}
    decimals = any(_NUMBER.fullmatch(name) and not _INTEGER.fullmatch(number) for name, number in whole.items())
    if decimals and not any(name != number and number in whole for name, number in whole.items()):
        whole = {name: name for name in names}
    truths = {name for name in names if name.casefold() in _TRUTH}
    others = {whole[name] for name in names} - truths
    if truths and others and others <= {"0", "1"}:
        return whole | {name: _TRUTH[name.casefold()] for name in truths}
    if truths and not others:
        return {name: name.capitalize() for name in names}
    return whole


def one_name(label: str) -> str:
    """A name that the spellings of a label share which mean the same in every file: 1.0 and 1, TRUE and true."""
    return _key(label)


def class_finder(classes: Sequence[str], *, term: str = "label") -> Callable[[str], str | None]:
    """A function from a label to the class it names in any spelling, None if there is none.

    The labels true and false are the classes 1 and 0 if there are no others, and the reverse, with a warning.

    Args:
        term: for a label, in the warning.
    """
    exact = {name: name for name in classes}
    by_key = {_key(name): name for name in reversed(classes)}
    other_key: dict[str, str] = {}
    if set(by_key) == {"0", "1"}:
        other_key = _TRUTH
    elif set(by_key) == set(_TRUTH):
        other_key = {number: word for word, number in _TRUTH.items()}
    logged: set[str] = set()

    def class_of(label: str) -> str | None:
        name = exact.get(label) or by_key.get(_key(label))
        if name is None and (key := other_key.get(_key(label))) is not None:
            name = by_key[key]
            if label not in logged:
                logged.add(label)
                log.warning("%s %r is read as the class %r", term, label, name)
        return name

    return class_of


def words_for_no_label(names: Sequence[str]) -> list[str]:
    """The labels such as "nan" and "N/A"."""
    return [name for name in names if name.casefold() in _NO_LABEL_WORDS]


def are_numbers(names: Sequence[str]) -> bool:
    return all(_NUMBER.fullmatch(name) for name in names)


def minus_one_means_none(names: Sequence[str]) -> bool:
    """Whether -1 stands beside the classes 0, 1, ..., as in data whose labels are withheld."""
    negative = [name for name in names if name.startswith("-")]
    return negative == ["-1"] and "0" in names and all(_INTEGER.fullmatch(name) for name in names)


def alike(names: Sequence[str]) -> list[list[str]]:
    """Groups of labels that differ only by case or blanks."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(" ".join(name.casefold().split()), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _whole(name: str) -> str:
    match = _WHOLE.fullmatch(name)
    number = match[1] if match else name
    return "0" if number == "-0" else number


def _key(name: str) -> str:
    return name.casefold() if name.casefold() in _TRUTH else _whole(name)
