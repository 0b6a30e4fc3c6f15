"""What a run warns of in words: predictions of one class, a loss that says nothing for long.

A pure function of the metrics, so that a run that was stopped and went on warns of the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

COLLAPSED_SHARE = 0.9  # of the development rows predicted as one class
PATIENCE_STEPS, PATIENCE_SHARE = 100, 0.125  # steps, and share of the run, that a term may be zero

_SILENT = {
    "unlabeled_loss": (
        "the unlabeled loss has been zero in all logged steps since {since:,}: no unlabeled row counts, so the run "
        "trains on its labels alone. Lower the confidence threshold, or let the weight grow earlier"
    ),
    "labeled_counted": (
        "no labeled row has counted in any logged step since {since:,}: training signal annealing drops rows that the "
        "model gets right with confidence, and it does with all. Take a schedule that rises earlier (log, linear), or "
        "none"
    ),
}


class Watch:
    """Sees the records of metrics.jsonl in order.

    Args:
        steps: of the run.
    """

    def __init__(self, steps: int) -> None:
        self._patience = max(PATIENCE_STEPS, round(PATIENCE_SHARE * steps))
        self._zero_since: dict[str, int] = {}
        self._told: set[str] = set()

    def see(self, record: Mapping[str, Any]) -> Iterator[str]:
        """What is to be said because of this record; each warning once a run."""
        if record.get("largest_class_share", 0) > COLLAPSED_SHARE and "collapse" not in self._told:
            self._told.add("collapse")
            yield _collapse_words(record["step"], record["largest_class_share"])
        if record.get("highest_threshold", 1) < record.get("least_confidence", 0) and "thresholds" not in self._told:
            self._told.add("thresholds")
            yield _thresholds_words(record)
        for name, words in _SILENT.items():
            if name not in record or name in self._told:
                continue
            if record[name] != 0:
                self._zero_since.pop(name, None)
                continue
            since = self._zero_since.setdefault(name, record["step"])
            if record["step"] - since >= self._patience:
                self._told.add(name)
                yield f"step {record['step']:,}: {words.format(since=since)}"


def warnings_in(records: Iterable[Mapping[str, Any]], *, steps: int) -> list[str]:
    """All that a run with these metrics warns of."""
    watch = Watch(steps)
    return [words for record in records for words in watch.see(record)]


def _thresholds_words(record: Mapping[str, Any]) -> str:
    return (
        "the thresholds of FlexMatch leave no row out: the run visits so few of the unlabeled texts that the highest "
        f"threshold at its end is {record['highest_threshold']:.2g}, where the confidence of a row is at least "
        f"{record['least_confidence']:.2g}. Use fewer unlabeled texts (--unlabeled-texts), more steps, or fixmatch"
    )


def _collapse_words(step: int, share: float) -> str:
    return (
        f"step {step:,}: {share:.0%} of the development rows are predicted as one class: the model has collapsed. "
        "Lower the weight of the unlabeled loss or the learning rate, or ramp the weight up over more steps; where the "
        "method has them, raise the confidence threshold or the temperature, or align the targets to how "
        "often each class is expected (--alignment)"
    )
