"""Groups of runs that differ by their seed, and comparisons of groups on the same data. `grouping` makes both."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from text_uda.report.contrast import Contrast, Pair, contrasts
from text_uda.report.load_runs import Run
from text_uda.report.seed_statistics import Estimate, estimate
from text_uda.runs.per_class import Scores, class_scores, is_skewed

MOST_PAIRED_METHODS = 6  # 15 pairs; with more, Holm's correction hides every difference

# Methods that take no training step, shown first, and their names in a report.
BASELINES = {"logistic-regression": "logistic regression", "self-training": "self-training"}
REGRESSION = "logistic-regression"

LABELS_ALONE = "labels alone"  # the baseline: no unlabeled texts


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ by their seed alone."""

    label: str
    """The method, and the settings that distinguish it from the other groups."""
    colour: int
    """0 for labels alone, then 1, 2, ...; the same for a label on the whole page."""
    runs: tuple[Run, ...]
    settings: Mapping[str, str]
    """Everything that decides what the runs compute, except the seed, by dotted names."""

    @property
    def method(self) -> str:
        return self.runs[0].method

    @property
    def reads_columns(self) -> bool:
        """Whether it reads other columns beside the text, or in its place."""
        return self.runs[0].reads_columns

    @property
    def without_fusion(self) -> dict[str, str]:
        """The settings that do not say how columns join the text."""
        return {name: value for name, value in self.settings.items() if not name.startswith(("fusion.", "method"))}

    @property
    def seeds(self) -> list[int]:
        return sorted({run.seed for run in self.runs})

    def estimate(self, name: str) -> Estimate | None:
        return estimate(list(self.by_seed(name).values()))

    def by_seed(self, name: str) -> dict[int, float]:
        """Mean value of each seed: two runs of a seed are not independent."""
        by_seed: dict[int, list[float]] = {}
        for run in self.runs:
            if (value := run.value(name)) is not None:
                by_seed.setdefault(run.seed, []).append(value)
        return {seed: sum(values) / len(values) for seed, values in by_seed.items()}

    @property
    def right_by_seed(self) -> dict[int, np.ndarray]:
        """By seed, (N,) share of its runs that get each test row right; without seeds that did not record it."""
        by_seed: dict[int, list[np.ndarray]] = {}
        for run in self.runs:
            if run.right is not None:
                by_seed.setdefault(run.seed, []).append(run.right)
        return {seed: np.stack(rights).mean(axis=0, dtype=np.float64) for seed, rights in by_seed.items()}

    @property
    def confusion(self) -> list[list[int]]:
        """Counts of the selected models, summed over the runs; true class by predicted class."""
        tables = [run.result["confusion"] for run in self.runs]
        return [[sum(counts) for counts in zip(*rows, strict=True)] for rows in zip(*tables, strict=True)]

    @property
    def scores(self) -> Scores | None:
        """Of the rows of all runs together, as in `confusion`; the table of results has means over seeds."""
        confusion = self.confusion
        return class_scores(confusion) if any(map(any, confusion)) else None

    @property
    def statuses(self) -> dict[str, int]:
        """Number of paraphrases of all runs by status, `ok` first."""
        total: dict[str, int] = {}
        for run in self.runs:
            for status, count in run.coverage.get("statuses", {}).items():
                total[status] = total.get(status, 0) + count
        return dict(sorted(total.items(), key=lambda item: (item[0] != "ok", -item[1], item[0])))


@dataclass(frozen=True, eq=False)
class Comparison:
    """Groups with the same data, labels, encoder and trained weights, whose errors can be compared."""

    groups: tuple[Group, ...]

    @property
    def config(self) -> dict[str, Any]:
        return self.groups[0].runs[0].config

    @property
    def classes(self) -> list[str]:
        return self.config["data"]["classes"]

    @property
    def title(self) -> str:
        return f"{self.config['data']['name']}, {self.config['labels']:,} labels"

    @property
    def model(self) -> str:
        """The encoder, and which of its weights are trained."""
        tune = self.config["tune"]
        trained = {"head": "head only", "all": "all weights"}.get(tune, tune.replace("last:", "last layers: "))
        return f"{self.config['encoder']} ({trained})"

    @property
    def test_rows(self) -> int:
        return self.groups[0].runs[0].test_rows

    @property
    def largest_class(self) -> tuple[str, float]:
        """The most frequent class of the test rows, and its share of them."""
        support = self._support
        largest = support.index(max(support))
        return self.classes[largest], support[largest] / max(1, sum(support))

    @property
    def skewed(self) -> bool:
        """Whether the test error says little about the rare classes."""
        return is_skewed(self._support)

    @property
    def _support(self) -> list[int]:
        return [sum(row) for row in self.groups[0].runs[0].result["confusion"]]

    @property
    def selected_by(self) -> str:
        """What selected the weights, in words; empty where earlier versions did not record the number of rows.

        Baselines have one model and select nothing.
        """
        rows: dict[str, set[int]] = {}
        for run in self._runs:
            if run.method_alone in BASELINES:
                continue
            if run.dev_rows is not None or run.selected_by == "last":
                rows.setdefault(run.selected_by, set()).add(run.dev_rows or 0)
        return ", or ".join(_selection(criterion, rows[criterion]) for criterion in sorted(rows))

    @property
    def _runs(self) -> list[Run]:
        return [run for group in self.groups for run in group.runs]

    @property
    def baseline(self) -> Group | None:
        """The group with labels alone, where there is exactly one, and another group to compare it with."""
        return self._only_group("none")

    @property
    def regression(self) -> Group | None:
        """The group with logistic regression, where there is exactly one, and another group to compare it with."""
        return self._only_group(REGRESSION)

    def _only_group(self, method: str) -> Group | None:
        groups = [group for group in self.groups if group.method == method]
        return groups[0] if len(groups) == 1 and len(self.groups) > 1 else None

    def against_regression(self, group: Group) -> dict[int, float]:
        """Test error minus that of logistic regression, for the seeds that both have; empty for itself."""
        return self._against(group, self.regression)

    def against_text(self, group: Group) -> dict[int, float]:
        """Test error of a group that reads other columns minus that of the one with the same settings that does not."""
        if not group.reads_columns:
            return {}
        same = [one for one in self.groups if one.without_fusion == group.without_fusion and not one.reads_columns]
        return self._against(group, same[0] if len(same) == 1 else None)

    def _against(self, group: Group, base: Group | None) -> dict[int, float]:
        if base is None or group is base:
            return {}
        errors, of_base = group.by_seed("test_error"), base.by_seed("test_error")
        return {seed: errors[seed] - of_base[seed] for seed in sorted(errors.keys() & of_base.keys())}

    @cached_property
    def contrasts(self) -> dict[str, Contrast]:
        """Each method against the baseline, by label; empty without a baseline. Takes about a second per method."""
        if self.baseline is None:
            return {}
        base = self.baseline.label
        by_pair = self._contrasts([(label, base) for label in self._methods])
        return {label: contrast for (label, _), contrast in by_pair.items()}

    @cached_property
    def between(self) -> dict[Pair, Contrast]:
        """Each pair of methods, without baselines; empty with more than MOST_PAIRED_METHODS of them."""
        baselines = {group.label for group in self.groups if group.runs[0].method_alone in BASELINES}
        methods = [label for label in self._methods if label not in baselines]
        if len(methods) > MOST_PAIRED_METHODS:
            return {}
        return self._contrasts(list(combinations(methods, 2)))

    @property
    def _methods(self) -> list[str]:
        return [group.label for group in self.groups if group is not self.baseline]

    def _contrasts(self, pairs: list[Pair]) -> dict[Pair, Contrast]:
        errors = {group.label: group.by_seed("test_error") for group in self.groups}
        rights = {group.label: group.right_by_seed for group in self.groups}
        return contrasts(errors, rights, pairs, self.title)

    def against_baseline(self, group: Group) -> Estimate | None:
        """Mean of the test error minus that of the baseline, over the seeds that both have."""
        contrast = self.contrasts.get(group.label)
        return contrast and contrast.change

    def differences(self, group: Group) -> dict[int, float]:
        """Test error minus that of the baseline, by seed; empty without a baseline, and for the baseline itself."""
        contrast = self.contrasts.get(group.label)
        return contrast.differences if contrast else {}

    def remarks(self) -> Iterator[str]:
        """Reasons to read the numbers with care."""
        if single := [group.label for group in self.groups if len(group.seeds) == 1]:
            yield f"One seed only ({', '.join(single)}): no interval is known, and another seed may differ."
        for group in self.groups:
            if len({(run.seed, run.value("test_error")) for run in group.runs}) > len(group.seeds):
                yield f"{group.label}: a seed has several runs; their mean counts as one value."
            if len({run.config.get("code_revision") for run in group.runs}) > 1:
                yield f"{group.label}: the runs come from different revisions of the code."
            if len({json.dumps(run.config.get("machine"), sort_keys=True) for run in group.runs}) > 1:
                yield f"{group.label}: the runs come from different kinds of machines."
        for group in self.groups:
            if picks := Counter(run.picked for run in group.runs if run.picked is not None):
                words = ", ".join(f"{mode} ({count:,})" for mode, count in picks.most_common())
                yield f"{group.label}: the development rows picked {words}."
        most = max((run.dev_rows or 0 for run in self._runs if run.selected_by != "last"), default=0)
        if most > self.config["labels"]:
            yield (
                f"{most:,} labeled development rows selected the weights, more than the {self.config['labels']:,} "
                "labels of training: with so few labels, nobody has this many development rows (Oliver et al. 2018)."
            )
        if self.baseline is None and len(self.groups) > 1:
            number = "No run" if all(group.method != "none" for group in self.groups) else "More than one setting"
            yield f"{number} has labels alone: the methods are not compared with a baseline."


_CRITERIA = {"macro-f1": "macro-F1", "balanced-error": "balanced error"}


def _selection(criterion: str, rows: set[int]) -> str:
    if criterion == "last":
        return "the last step"
    few, most = min(rows), max(rows)
    return f"the {_CRITERIA.get(criterion, criterion)} of {few:,}{f' to {most:,}' if most > few else ''} dev rows"
