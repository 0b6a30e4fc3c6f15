"""Test rows on which the methods disagree: what each method predicts, and how many of its seeds."""

from collections import Counter
from dataclasses import dataclass

from text_uda.report.comparison import Comparison, Group
from text_uda.report.paraphrase_examples import shortened

ROWS = 300  # on one page

GAINED, LOST, NOBODY = "gained", "lost", "nobody"


@dataclass(frozen=True)
class Vote:
    """What the runs of one method predict for a row."""

    group: Group
    counts: list[tuple[str, int]]
    """(class, number of seeds), the most frequent first."""
    right: bool
    """Whether most seeds predict the true class."""
    seeds: int
    probability: float
    """Mean over the seeds of the probability of the class that a seed predicts."""


@dataclass(frozen=True)
class Row:
    """A test row to show."""

    comparison: Comparison
    text: str
    cut: int
    """Number of words that are not shown."""
    label: str
    votes: list[Vote]
    kinds: list[str]
    """GAINED: a method is right and labels alone is not; LOST: the other way round; NOBODY: no method is right."""


def disagreements(comparisons: list[Comparison]) -> tuple[list[Row], int, int]:
    """The rows to show, the number of further ones, and the number of test rows with recorded predictions.

    The comparisons share the room of the page; rows keep the order of test_examples.jsonl.
    """
    shown, omitted, known = [], 0, set[tuple[str, str, str]]()
    for comparison in comparisons:
        rows, answered = _rows(comparison)
        room = max(20, ROWS // len(comparisons))
        shown += rows[:room]
        omitted += len(rows) - len(rows[:room])
        known |= {(_test_set(comparison), *key) for key in answered}
    return shown, omitted, len(known)


def _test_set(comparison: Comparison) -> str:
    """A name of the test rows, equal for all comparisons on the same rows."""
    digests = (run.test_digest for group in comparison.groups for run in group.runs)
    return next(filter(None, digests), comparison.config["data"]["name"])


def _rows(comparison: Comparison) -> tuple[list[Row], list[tuple[str, str]]]:
    """The rows to show, and (text, true class) of all rows that two methods or more predicted."""
    answers: dict[tuple[str, str], dict[Group, list[tuple[str, float]]]] = {}
    for group in comparison.groups:
        for run in {run.seed: run for run in group.runs}.values():  # several runs of a seed have one vote
            unique = {(row["text"], row["label"]): (row["predicted"], row["probability"]) for row in run.test_examples}
            for key, answer in unique.items():
                answers.setdefault(key, {}).setdefault(group, []).append(answer)
    rows, answered = [], []
    for (text, label), by_group in answers.items():
        if len(by_group) < 2:
            continue
        answered.append((text, label))
        votes = [_vote(group, predictions, label) for group, predictions in by_group.items()]
        if len({vote.counts[0][0] for vote in votes}) > 1:
            rows.append(Row(comparison, *shortened(text), label, votes, _kinds(comparison, votes)))
    return rows, answered


def _vote(group: Group, predictions: list[tuple[str, float]], label: str) -> Vote:
    # A tie goes to the first class by name, so that the true class has no advantage.
    counts = sorted(Counter(predicted for predicted, _ in predictions).items(), key=lambda item: (-item[1], item[0]))
    probability = sum(probability for _, probability in predictions) / len(predictions)
    return Vote(group, counts, counts[0][0] == label, len(predictions), probability)


def _kinds(comparison: Comparison, votes: list[Vote]) -> list[str]:
    base = next((vote for vote in votes if vote.group is comparison.baseline), None)
    others = [vote for vote in votes if vote is not base]
    kinds = [] if any(vote.right for vote in votes) else [NOBODY]
    if base is not None and not base.right and any(vote.right for vote in others):
        kinds.append(GAINED)
    if base is not None and base.right and not all(vote.right for vote in others):
        kinds.append(LOST)
    return kinds
