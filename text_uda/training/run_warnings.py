"""Warnings about a run: collapsed predictions, an error that rose, a loss that stays at zero.

They are a pure function of the metrics, so a resumed run warns as an uninterrupted one. Tests on the development rows
take their number into account.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import comb, sqrt
from statistics import NormalDist
from typing import Any

COLLAPSED_SHARE = 0.8  # of the development rows of the other classes that are predicted as one class
MIN_LOST_ROWS = 5  # a model that is right on half of the other classes loses all of 5 rows with probability 1/32
NEVER_BY_CHANCE = 0.01  # probability that classes are never predicted if predicted as often as they occur
RISE, RISE_BY_CHANCE = 5.0, 0.025  # points of the error; probability of a rise if the weights are equally good
PATIENCE_STEPS, PATIENCE_SHARE = 100, 0.125  # steps, and share of the run, before a condition is a warning

_ALWAYS_ZERO = {
    "unlabeled_loss": (
        "the unlabeled loss is zero in all logged steps since {since:,}: no unlabeled row counts, so the run trains on "
        "its labels alone. Lower the confidence threshold, or ramp the weight up earlier"
    ),
    "labeled_counted": (
        "no labeled row counts in any logged step since {since:,}: training signal annealing drops rows that the model "
        "predicts correctly with confidence, and these are all rows. Choose a schedule that rises earlier (log, "
        "linear), or none"
    ),
}


class RunWarnings:
    """Reads the records of metrics.jsonl in order and yields each warning once.

    Args:
        steps: of the run.
    """

    def __init__(self, steps: int) -> None:
        self._patience = max(PATIENCE_STEPS, round(PATIENCE_SHARE * steps))
        self._since: dict[str, int] = {}
        self._warned: set[str] = set()
        self._evaluations: list[Mapping[str, Any]] = []

    def read(self, record: Mapping[str, Any]) -> Iterator[str]:
        """The warnings that this record causes."""
        step = record["step"]
        if "label_share_of_it" in record:  # an evaluation; earlier versions wrote fewer entries
            self._evaluations.append(record)
            if self._persists("collapse", step, _is_collapsed(record)):
                yield _collapse_warning(record)
        if record.get("highest_threshold", 1) < record.get("least_confidence", 0) and "thresholds" not in self._warned:
            self._warned.add("thresholds")
            yield _thresholds_warning(record)
        for name, warning in _ALWAYS_ZERO.items():
            if name in record and self._persists(name, step, record[name] == 0):
                yield f"step {step:,}: {warning.format(since=self._since[name])}"

    def _persists(self, condition: str, step: int, holds: bool) -> bool:
        """Whether the condition has held long enough for a warning that is not given yet."""
        if not holds:
            self._since.pop(condition, None)
            return False
        since = self._since.setdefault(condition, step)
        if step - since < self._patience or condition in self._warned:
            return False
        self._warned.add(condition)
        return True

    def end(self) -> Iterator[str]:
        """Warnings about the weights after the last step; the chosen weights may hide them."""
        if not self._evaluations:
            return
        best, last = min(self._evaluations, key=lambda record: record["error"]), self._evaluations[-1]
        if _has_risen(best, last, evaluations=len(self._evaluations)):
            yield (
                f"step {last['step']:,}: the development error is {last['error']:.1f}% after the last step and was "
                f"{best['error']:.1f}% at step {best['step']:,}, more than chance explains on {last['rows']:,} rows: "
                f"training made the model worse. {_REMEDY}"
            )
        if _is_collapsed(last):
            if "collapse" not in self._warned:
                yield _collapse_warning(last)
        elif _never_predicted_by_chance(last) < NEVER_BY_CHANCE:
            is_single = last["never_predicted"] == 1
            yield (
                f"step {last['step']:,}: {last['never_predicted']:,} {'class is' if is_single else 'classes are'} "
                f"never predicted after the last step, although {last['share_never_predicted']:.0%} of the "
                f"{last['rows']:,} development rows have {'its label' if is_single else 'their labels'}. {_REMEDY}"
            )


def warnings_in(records: Sequence[Mapping[str, Any]], *, steps: int) -> list[str]:
    """All warnings about a run of `steps` steps with these metrics."""
    warnings = RunWarnings(steps)
    return [warning for record in records for warning in warnings.read(record)] + list(warnings.end())


def warnings_at_the_end(records: Iterable[Mapping[str, Any]], *, steps: int) -> list[str]:
    """Those of `warnings_in` that are not given during the run."""
    warnings = RunWarnings(steps)
    for record in records:
        list(warnings.read(record))
    return list(warnings.end())


_REMEDY = (
    "Lower the weight of the unlabeled loss or the learning rate, or ramp the weight up over more steps; where the "
    "method has them, raise the confidence threshold or the temperature, or align the distribution"
)


def _is_collapsed(record: Mapping[str, Any]) -> bool:
    """Whether the class predicted most often is also predicted for most rows with another label."""
    others = 1.0 - record["label_share_of_it"]
    wrong_share = record["largest_class_share"] - record["label_share_of_it"]
    return wrong_share > COLLAPSED_SHARE * others and round(record["rows"] * wrong_share) >= MIN_LOST_ROWS


def _collapse_warning(record: Mapping[str, Any]) -> str:
    return (
        f"step {record['step']:,}: {record['largest_class_share']:.0%} of the development rows are predicted as one "
        f"class, which is the label of {record['label_share_of_it']:.0%}: the model has collapsed. {_REMEDY}"
    )


def _has_risen(best: Mapping[str, Any], last: Mapping[str, Any], *, evaluations: int) -> bool:
    """Whether the last error is above the best one by 5 points and by more than chance.

    The test compares two independent shares, with one row added on each side. It is conservative: both errors are on
    the same rows, and such errors are mostly correlated. The best is the minimum of all evaluations (Bonferroni).
    """
    rows, rise = last["rows"], last["error"] - best["error"]
    shares = [(record["error"] / 100 * rows + 1) / (rows + 2) for record in (best, last)]
    deviation = 100 * sqrt(sum(share * (1 - share) for share in shares) / rows)
    lost = round(rows * rise / 100)
    critical = NormalDist().inv_cdf(1 - RISE_BY_CHANCE / evaluations)
    return rise > RISE and lost >= MIN_LOST_ROWS and rise > critical * deviation


def _never_predicted_by_chance(record: Mapping[str, Any]) -> float:
    """A bound on the probability that any k classes with this number of rows are never predicted.

    Where classes are predicted as often as they occur among the labels, a row is predicted as none of k classes with
    the probability 1 - (their share); there are C over k ways to choose k classes.
    """
    if not record["never_predicted"]:
        return 1.0
    ways = comb(record["classes"], record["never_predicted"])
    return ways * (1 - record["share_never_predicted"]) ** record["rows"]


def _thresholds_warning(record: Mapping[str, Any]) -> str:
    return (
        "the thresholds of FlexMatch exclude no row: the run visits so few of the unlabeled texts that the highest "
        f"threshold at its end is {record['highest_threshold']:.2g}, while the confidence of every row is at least "
        f"{record['least_confidence']:.2g}. Use fewer unlabeled texts (--unlabeled-texts), more steps, or fixmatch"
    )
