"""Whether runs may stand in one report: they share the test rows, and runs of one seed share the split."""

from collections.abc import Callable, Iterable, Mapping

from text_uda.errors import SettingsError, listed
from text_uda.report.load_runs import Run

_NAMED_RUNS = 3  # of a side, in a message
_LETTERS = 200  # of a path


def check_same_data(runs: Iterable[Run]) -> None:
    """Raise SettingsError where runs of one data set were tested on different rows or trained on different splits.

    The test rows must agree for one name of the data, the split for one seed, number of labels and of unlabeled texts,
    way to draw labels and size of the development split. Runs that differ in one of these are settings to compare.
    """
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(run.config["data"]["name"], []).append(run)
    for name, named_runs in by_name.items():
        _check_test_rows(name, named_runs)
        by_draw: dict[tuple[int, int, object, object], list[Run]] = {}
        for run in named_runs:
            data = run.config["data"]
            key = (run.config["labels"], run.seed, data.get("label_sampling"), data.get("dev"))
            by_draw.setdefault(key, []).append(run)
        for (labels, seed, *_), draw_runs in by_draw.items():
            _check_split(name, labels, seed, draw_runs)


def _check_test_rows(name: str, runs: list[Run]) -> None:
    sizes = _sides(runs, lambda run: f"{run.test_rows:,} test rows in {len(run.classes)} classes")
    digests = _sides([run for run in runs if run.test_digest], lambda run: f"test rows {str(run.test_digest)[:12]}")
    for sides in (sizes, digests):
        if len(sides) > 1:
            raise SettingsError(
                f"these runs of {name} were tested on different rows, so their errors cannot be compared: "
                f"{_describe(sides)}; write a report of each side, or train all runs on the same data"
            )


def _check_split(name: str, labels: int, seed: int, runs: list[Run]) -> None:
    # Earlier versions did not record the number of unlabeled texts, and always took all of them.
    most = max((run.unlabeled for run in runs if run.unlabeled is not None), default=0)
    by_unlabeled: dict[int, list[Run]] = {}
    for run in runs:
        by_unlabeled.setdefault(most if run.unlabeled is None else run.unlabeled, []).append(run)
    for same_size in by_unlabeled.values():
        sides = _sides(same_size, lambda run: f"split {run.config['data']['digest'][:12]}")
        if len(sides) > 1:
            raise SettingsError(
                f"these runs of {name} have the same seed ({seed}) and number of labels ({labels:,}) but different "
                f"splits, so they cannot be compared: {_describe(sides)}; the data changed between them: leave one "
                "side out, or train it again"
            )


def _sides(runs: list[Run], key: Callable[[Run], str]) -> Mapping[str, list[Run]]:
    sides: dict[str, list[Run]] = {}
    for run in runs:
        sides.setdefault(key(run), []).append(run)
    return sides


def _describe(sides: Mapping[str, list[Run]]) -> str:
    return " against ".join(
        f"{listed((run.path for run in runs), most=_NAMED_RUNS, letters=_LETTERS)} ({description})"
        for description, runs in sides.items()
    )
