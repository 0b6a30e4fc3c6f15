"""Runs that may stand in one report: what they were tested on, and what a seed drew for them, is the same."""

from collections.abc import Callable, Iterable, Mapping

from text_uda.errors import SettingsError
from text_uda.report.load_runs import Run

_NAMED = 3  # runs of a side


def check_same_data(runs: Iterable[Run]) -> None:
    """Raise SettingsError where errors of the same data set were measured or trained for on different rows.

    That is the same name of the data with other test rows; or the same labels, unlabeled texts and seed with another
    split. Another number of unlabeled texts or of development rows is another setting, which a study may be about, and
    so is another way to draw the labels.
    """
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(run.config["data"]["name"], []).append(run)
    for name, same in by_name.items():
        _check_test_rows(name, same)
        drawn: dict[tuple[int, int, object, object], list[Run]] = {}
        for run in same:
            how = run.config["data"].get("label_sampling"), run.config["data"].get("dev")
            drawn.setdefault((run.config["labels"], run.seed, *how), []).append(run)
        for (labels, seed, *_), alike in drawn.items():
            _check_split(name, labels, seed, alike)


def _check_test_rows(name: str, runs: list[Run]) -> None:
    sizes = _sides(runs, lambda run: f"{run.test_rows:,} test rows in {len(run.classes)} classes")
    digests = _sides([run for run in runs if run.test_digest], lambda run: f"test rows {str(run.test_digest)[:12]}")
    for sides in (sizes, digests):
        if len(sides) > 1:
            raise SettingsError(
                f"these runs of {name} were tested on different rows, so their errors cannot be compared: "
                f"{_told(sides)}; make a report of each, or train them on the same data"
            )


def _check_split(name: str, labels: int, seed: int, runs: list[Run]) -> None:
    # A run of a version that did not say took all there are, as there was no other way.
    most = max((run.unlabeled for run in runs if run.unlabeled is not None), default=0)
    by_number: dict[int, list[Run]] = {}
    for run in runs:
        by_number.setdefault(most if run.unlabeled is None else run.unlabeled, []).append(run)
    for alike in by_number.values():
        sides = _sides(alike, lambda run: f"split {run.config['data']['digest'][:12]}")
        if len(sides) > 1:
            raise SettingsError(
                f"these runs of {name} have the same seed ({seed}) and number of labels ({labels:,}), and yet another "
                f"split, so they cannot be compared: {_told(sides)}; the data changed between them: leave one side "
                "out, or train it anew"
            )


def _sides(runs: list[Run], key: Callable[[Run], str]) -> Mapping[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(key(run), []).append(run)
    return found


def _told(sides: Mapping[str, list[Run]]) -> str:
    return " against ".join(f"{_names(runs)} ({what})" for what, runs in sides.items())


def _names(runs: list[Run]) -> str:
    more = f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
    return ", ".join(str(run.path) for run in runs[:_NAMED]) + more
