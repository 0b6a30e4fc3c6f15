"""What a run warns of in words: collapsed predictions, an error that rose, a loss that says nothing for long.

A pure function of the metrics, so that a run that was stopped and went on warns of the same. What it says of the
development rows takes into account how few they may be.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import comb, sqrt
from statistics import NormalDist
from typing import Any

COLLAPSED_SHARE = 0.8  # of the development rows of the other classes that are predicted as one class
LOST_ROWS = 5  # at least; a model that is right on half of the other classes loses all of 5 rows with probability 1/32
NEVER_BY_CHANCE = 0.01  # probability that classes with so many rows are never predicted, if predicted like labels
RISE, RISE_BY_CHANCE = 5.0, 0.025  # points of the error, and the probability of a rise if the weights were as good
PATIENCE_STEPS, PATIENCE_SHARE = 100, 0.125  # steps, and share of the run, that it may be so

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
        self._since: dict[str, int] = {}
        self._told: set[str] = set()
        self._looks: list[Mapping[str, Any]] = []

    def see(self, record: Mapping[str, Any]) -> Iterator[str]:
        """What is to be said because of this record; each warning once a run."""
        step = record["step"]
        if "label_share_of_it" in record:  # a look at the development rows; earlier versions wrote less of it
            self._looks.append(record)
            if self._lasts("collapse", step, _is_collapsed(record)):
                yield _collapse_words(record)
        if record.get("highest_threshold", 1) < record.get("least_confidence", 0) and "thresholds" not in self._told:
            self._told.add("thresholds")
            yield _thresholds_words(record)
        for name, words in _SILENT.items():
            if name in record and self._lasts(name, step, record[name] == 0):
                yield f"step {step:,}: {words.format(since=self._since[name])}"

    def _lasts(self, what: str, step: int, is_so: bool) -> bool:
        """Whether it has been so for long, and was not told."""
        if not is_so:
            self._since.pop(what, None)
            return False
        since = self._since.setdefault(what, step)
        if step - since < self._patience or what in self._told:
            return False
        self._told.add(what)
        return True

    def end(self) -> Iterator[str]:
        """What is known only after the last step, of the last weights: the chosen ones may hide it."""
        if not self._looks:
            return
        best, last = min(self._looks, key=lambda look: look["error"]), self._looks[-1]
        if _has_risen(best, last, looks=len(self._looks)):
            yield (
                f"step {last['step']:,}: the development error is {last['error']:.1f}% after the last step, and was "
                f"{best['error']:.1f}% at step {best['step']:,}, which is more than chance on {last['rows']:,} rows: "
                f"training made the model worse. {_MEND}"
            )
        if _is_collapsed(last):
            if "collapse" not in self._told:
                yield _collapse_words(last)
        elif _never_by_chance(last) < NEVER_BY_CHANCE:
            one = last["never_predicted"] == 1
            yield (
                f"step {last['step']:,}: {last['never_predicted']:,} {'class is' if one else 'classes are'} never "
                f"predicted after the last step, though {last['share_never_predicted']:.0%} of the {last['rows']:,} "
                f"development rows are {'of it' if one else 'of them'}. {_MEND}"
            )


def warnings_in(records: Sequence[Mapping[str, Any]], *, steps: int) -> list[str]:
    """All that a run of so many steps with these metrics warns of."""
    watch = Watch(steps)
    return [words for record in records for words in watch.see(record)] + list(watch.end())


def warnings_at_the_end(records: Iterable[Mapping[str, Any]], *, steps: int) -> list[str]:
    """Those of them that were not told in the course of the run."""
    watch = Watch(steps)
    for record in records:
        list(watch.see(record))
    return list(watch.end())


_MEND = (
    "Lower the weight of the unlabeled loss or the learning rate, or ramp the weight up over more steps; where the "
    "method has them, raise the confidence threshold or the temperature, or align the distribution"
)


def _is_collapsed(record: Mapping[str, Any]) -> bool:
    """Whether most of the rows that have another label than the class predicted most often are predicted as it, too."""
    others = 1.0 - record["label_share_of_it"]
    taken = record["largest_class_share"] - record["label_share_of_it"]
    return taken > COLLAPSED_SHARE * others and round(record["rows"] * taken) >= LOST_ROWS


def _collapse_words(record: Mapping[str, Any]) -> str:
    return (
        f"step {record['step']:,}: {record['largest_class_share']:.0%} of the development rows are predicted as one "
        f"class, which {record['label_share_of_it']:.0%} are of: the model has collapsed. {_MEND}"
    )


def _has_risen(best: Mapping[str, Any], last: Mapping[str, Any], *, looks: int) -> bool:
    """Whether the last error is above the best one by 5 points, and by more than chance.

    The test is that of two independent shares, with a row added on each side: both are of the same rows, and errors on
    the same rows mostly go together, so that it is on the safe side. The best is the least of `looks` (Bonferroni).
    """
    rows, rise = last["rows"], last["error"] - best["error"]
    shares = [(look["error"] / 100 * rows + 1) / (rows + 2) for look in (best, last)]
    deviation = 100 * sqrt(sum(share * (1 - share) for share in shares) / rows)
    lost = round(rows * rise / 100)
    return rise > RISE and lost >= LOST_ROWS and rise > NormalDist().inv_cdf(1 - RISE_BY_CHANCE / looks) * deviation


def _never_by_chance(look: Mapping[str, Any]) -> float:
    """Bound on the probability that any so many classes with so many rows are never predicted.

    Where classes are predicted as often as they are among the labels, a row is predicted as none of some classes with
    the probability 1 - (their share); there are C over k ways to choose k classes.
    """
    if not look["never_predicted"]:
        return 1.0
    return comb(look["classes"], look["never_predicted"]) * (1 - look["share_never_predicted"]) ** look["rows"]


def _thresholds_words(record: Mapping[str, Any]) -> str:
    return (
        "the thresholds of FlexMatch leave no row out: the run visits so few of the unlabeled texts that the highest "
        f"threshold at its end is {record['highest_threshold']:.2g}, where the confidence of a row is at least "
        f"{record['least_confidence']:.2g}. Use fewer unlabeled texts (--unlabeled-texts), more steps, or fixmatch"
    )
