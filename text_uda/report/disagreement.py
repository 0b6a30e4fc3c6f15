"""Test rows that the methods do not agree on, to read: what each says, and how many of its seeds."""

from collections import Counter
from dataclasses import dataclass

from text_uda.report.comparison import Comparison, Group
from text_uda.report.paraphrase_examples import shortened

ROWS = 300  # on one page

GAINED, LOST, NOBODY = "gained", "lost", "nobody"


@dataclass(frozen=True)
class Said:
    """What the runs of one method say of a row."""

    group: Group
    counts: list[tuple[str, int]]
    """(class, how many seeds), most of them first."""
    right: bool
    """Whether the class that most seeds say is the true one."""
    seeds: int
    probability: float
    """Mean over the seeds, each of the class that it says."""


@dataclass(frozen=True)
class Row:
    comparison: Comparison
    text: str
    cut: int
    """Words that are not shown."""
    label: str
    said: list[Said]
    kinds: list[str]
    """GAINED where a method is right and labels alone are not, LOST the other way, NOBODY where none is right."""


def disagreements(comparisons: list[Comparison]) -> tuple[list[Row], int, int]:
    """The rows to show, how many more there are, and of how many test rows in all the methods' words are known.

    Each comparison gets its part of the page; its rows keep the order of test_examples.jsonl, which is no choice.
    """
    shown, left, known = [], 0, set[tuple[str, str, str]]()
    for comparison in comparisons:
        found, seen = _rows(comparison)
        room = max(20, ROWS // len(comparisons))
        shown += found[:room]
        left += len(found) - len(found[:room])
        known |= {(_test_set(comparison), *key) for key in seen}
    return shown, left, len(known)


def _test_set(comparison: Comparison) -> str:
    """The same of all comparisons on the same test rows."""
    digests = (run.test_digest for group in comparison.groups for run in group.runs)
    return next(filter(None, digests), comparison.config["data"]["name"])


def _rows(comparison: Comparison) -> tuple[list[Row], list[tuple[str, str]]]:
    """Those to show, and (text, true class) of all that two methods or more were asked of."""
    answers: dict[tuple[str, str], dict[Group, list[tuple[str, float]]]] = {}
    for group in comparison.groups:
        for run in {run.seed: run for run in group.runs}.values():  # a seed that was run twice has one vote
            unique = {(row["text"], row["label"]): (row["predicted"], row["probability"]) for row in run.test_examples}
            for key, answer in unique.items():
                answers.setdefault(key, {}).setdefault(group, []).append(answer)
    found, seen = [], []
    for (text, label), own in answers.items():
        if len(own) < 2:
            continue  # nobody else was asked
        seen.append((text, label))
        said = [_said(group, given, label) for group, given in own.items()]
        kinds = _kinds(comparison, said)
        if len({one.counts[0][0] for one in said}) > 1:
            found.append(Row(comparison, *shortened(text), label, said, kinds))
    return found, seen


def _said(group: Group, given: list[tuple[str, float]], label: str) -> Said:
    # As many seeds for one class as for another: the true one is not favoured, the first by name is.
    counts = sorted(Counter(predicted for predicted, _ in given).items(), key=lambda item: (-item[1], item[0]))
    probability = sum(probability for _, probability in given) / len(given)
    return Said(group, counts, counts[0][0] == label, len(given), probability)


def _kinds(comparison: Comparison, said: list[Said]) -> list[str]:
    base = next((one for one in said if one.group is comparison.baseline), None)
    others = [one for one in said if one is not base]
    found = [] if any(one.right for one in said) else [NOBODY]
    if base is not None and not base.right and any(one.right for one in others):
        found.append(GAINED)
    if base is not None and base.right and not all(one.right for one in others):
        found.append(LOST)
    return found
