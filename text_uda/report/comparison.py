"""Which runs may be compared, which differ by their seed alone, and what the seeds say together."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from text_uda.report.comparable import check_same_data
from text_uda.report.contrast import Contrast, Pair, contrasts
from text_uda.report.interval import Estimate, estimate
from text_uda.report.load_runs import Run
from text_uda.runs.decisive_settings import decisive_but_seed
from text_uda.runs.per_class import Scores, class_scores, is_skewed

HELD_AGAINST_EACH_OTHER = 6  # methods at most: 15 pairs; of more, a correction for so many leaves nothing to see

TOLD = 3  # settings in a group's name, and more only where these leave two groups alike

# Methods that take no step, shown first; what a report calls them.
BASELINES = {"logistic-regression": "logistic regression", "self-training": "self-training"}
REGRESSION = "logistic-regression"

LABELS_ALONE = "labels alone"  # the baseline: no unlabeled texts, whether or not the others augment theirs


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ by their seed alone."""

    label: str
    """The method, and what else tells it from the other groups."""
    colour: int
    """0 for labels alone, then 1, 2, ... the same for a label on the whole page."""
    runs: tuple[Run, ...]
    settings: Mapping[str, str]
    """By dotted names, everything that decides what the runs compute, but for their seed."""

    @property
    def method(self) -> str:
        return self.runs[0].method

    @property
    def seeds(self) -> list[int]:
        return sorted({run.seed for run in self.runs})

    def estimate(self, name: str) -> Estimate | None:
        return estimate(list(self.by_seed(name).values()))

    def by_seed(self, name: str) -> dict[int, float]:
        """Mean figure of each seed: a seed that was run twice is no second, independent value."""
        found: dict[int, list[float]] = {}
        for run in self.runs:
            if (value := run.value(name)) is not None:
                found.setdefault(run.seed, []).append(value)
        return {seed: sum(values) / len(values) for seed, values in found.items()}

    @property
    def right_by_seed(self) -> dict[int, np.ndarray]:
        """(N,) share of the runs of a seed that get each test row right; without seeds that did not keep it."""
        found: dict[int, list[np.ndarray]] = {}
        for run in self.runs:
            if run.right is not None:
                found.setdefault(run.seed, []).append(run.right)
        return {seed: np.stack(rights).mean(axis=0, dtype=np.float64) for seed, rights in found.items()}

    @property
    def confusion(self) -> list[list[int]]:
        """Counts of the chosen models, summed over the runs; true class by predicted class."""
        tables = [run.result["confusion"] for run in self.runs]
        return [[sum(counts) for counts in zip(*rows, strict=True)] for rows in zip(*tables, strict=True)]

    @property
    def scores(self) -> Scores | None:
        """Of the rows of all runs together, as in the confusion; the figures of the table are means over seeds."""
        confusion = self.confusion
        return class_scores(confusion) if any(map(any, confusion)) else None

    @property
    def statuses(self) -> dict[str, int]:
        """How many paraphrases of all runs ended how, `ok` first."""
        total: dict[str, int] = {}
        for run in self.runs:
            for status, count in run.coverage.get("statuses", {}).items():
                total[status] = total.get(status, 0) + count
        return dict(sorted(total.items(), key=lambda item: (item[0] != "ok", -item[1], item[0])))


@dataclass(frozen=True, eq=False)
class Comparison:
    """Groups with the same data, labels, encoder and trained part: their errors can be held against each other."""

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
        """The encoder, and how much of it is trained."""
        tune = self.config["tune"]
        trained = {"head": "head only", "all": "all weights"}.get(tune, tune.replace("last:", "last layers: "))
        return f"{self.config['encoder']} ({trained})"

    @property
    def test_rows(self) -> int:
        return self.groups[0].runs[0].test_rows

    @property
    def largest_class(self) -> tuple[str, float]:
        """The most frequent class of the test rows, and its share of them."""
        support = [sum(row) for row in self.groups[0].runs[0].result["confusion"]]
        most = support.index(max(support))
        return self.classes[most], support[most] / max(1, sum(support))

    @property
    def skewed(self) -> bool:
        """Whether the test error says little of the rare classes."""
        return is_skewed([sum(row) for row in self.groups[0].runs[0].result["confusion"]])

    @property
    def chosen_by(self) -> str:
        """What chose the weights, in words; empty where earlier versions did not say by how many rows.

        Baselines have no others to choose from.
        """
        rows: dict[str, set[int]] = {}
        for run in self._runs:
            if run.method in BASELINES:
                continue
            if run.dev_rows is not None or run.selected_by == "last":
                rows.setdefault(run.selected_by, set()).add(run.dev_rows or 0)
        return ", or ".join(_choice(by, rows[by]) for by in sorted(rows))

    @property
    def _runs(self) -> list[Run]:
        return [run for group in self.groups for run in group.runs]

    @property
    def baseline(self) -> Group | None:
        """The group with labels alone, where there is just one and something to hold against it."""
        found = [group for group in self.groups if group.method == "none"]
        return found[0] if len(found) == 1 and len(self.groups) > 1 else None

    @property
    def regression(self) -> Group | None:
        """The group with logistic regression, where there is just one and something to hold against it."""
        found = [group for group in self.groups if group.method == REGRESSION]
        return found[0] if len(found) == 1 and len(self.groups) > 1 else None

    def against_regression(self, group: Group) -> dict[int, float]:
        """Difference of the test error to logistic regression, by the seeds that both have; empty for itself."""
        if self.regression is None or group is self.regression:
            return {}
        own, base = group.by_seed("test_error"), self.regression.by_seed("test_error")
        return {seed: own[seed] - base[seed] for seed in sorted(own.keys() & base.keys())}

    @cached_property
    def contrasts(self) -> dict[str, Contrast]:
        """Each method against the baseline, by label; empty without a baseline. Takes a second or so a method."""
        if self.baseline is None:
            return {}
        base = self.baseline.label
        found = self._contrasts([(name, base) for name in self._methods])
        return {name: contrast for (name, _), contrast in found.items()}

    @cached_property
    def between(self) -> dict[Pair, Contrast]:
        """Each method but the baselines against each other; empty where there are too many of them."""
        baselines = {group.label for group in self.groups if group.method in BASELINES}
        methods = [label for label in self._methods if label not in baselines]
        if len(methods) > HELD_AGAINST_EACH_OTHER:
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
        """Mean difference of the test error to the baseline over the seeds that both have."""
        contrast = self.contrasts.get(group.label)
        return contrast and contrast.change

    def differences(self, group: Group) -> dict[int, float]:
        """The same seed by seed; empty without a baseline, and for the baseline itself."""
        contrast = self.contrasts.get(group.label)
        return contrast.differences if contrast else {}

    def remarks(self) -> Iterator[str]:
        """What a reader must know before he trusts the numbers."""
        if single := [group.label for group in self.groups if len(group.seeds) == 1]:
            yield f"One seed ({', '.join(single)}): no interval, and the next seed may say otherwise."
        for group in self.groups:
            if len(group.runs) > len(group.seeds):
                yield f"{group.label}: a seed was run more than once; its mean counts as one value."
            if len({run.config.get("code_revision") for run in group.runs}) > 1:
                yield f"{group.label}: its runs were made by different revisions of the code."
            if len({json.dumps(run.config.get("machine"), sort_keys=True) for run in group.runs}) > 1:
                yield f"{group.label}: its runs were made on different kinds of machines."
        most = max((run.dev_rows or 0 for run in self._runs if run.selected_by != "last"), default=0)
        if most > self.config["labels"]:
            yield (
                f"{most:,} labeled development rows chose the weights, more than the {self.config['labels']:,} labels "
                "that are trained on: who has so few labels has no such rows (Oliver et al. 2018)."
            )
        if self.baseline is None and len(self.groups) > 1:
            alone = "no run" if all(group.method != "none" for group in self.groups) else "more than one setting"
            yield f"There is {alone} with labels alone: no method is held against it."


def compare(runs: list[Run]) -> list[Comparison]:
    """Comparisons by data, labels and encoder; in each the groups: baselines, labels alone, then by name.

    Raises:
        SettingsError: runs of the same data set that were trained or tested on different rows.
    """
    check_same_data(runs)
    found = []
    for same in _gathered(runs, _setting).values():
        most = max((run.unlabeled for run in same if run.unlabeled is not None), default=0)
        decisive = {run: _decisive(run, most) for run in same}
        groups = list(_gathered(same, lambda run, of=decisive: json.dumps(of[run], sort_keys=True)).values())
        labels = _labels([group[0] for group in groups], decisive)
        assert len(set(labels)) == len(groups), "groups are known by their labels"
        ordered = sorted(
            zip(labels, groups, strict=True), key=lambda item: (_place(item[1][0].method), _natural(item[0]))
        )
        found.append(
            [(label, tuple(sorted(group, key=lambda run: run.seed)), decisive[group[0]]) for label, group in ordered]
        )
    names = {label for groups in found for label, group, _ in groups if group[0].method != "none"}
    colours = {label: index for index, label in enumerate(sorted(names, key=_natural), 1)}
    return [
        Comparison(tuple(Group(label, colours.get(label, 0), group, settings) for label, group, settings in groups))
        for groups in found
    ]


_CRITERIA = {"macro-f1": "macro-F1", "balanced-error": "balanced error"}


def _choice(by: str, rows: set[int]) -> str:
    if by == "last":
        return "the last step"
    few, most = min(rows), max(rows)
    return f"the {_CRITERIA.get(by, by)} of {few:,}{f' to {most:,}' if most > few else ''} dev rows"


def _place(method: str) -> int:
    """Among the groups: the baselines, labels alone, the others."""
    order = [*BASELINES, "none"]
    return order.index(method) if method in order else len(order)


def _natural(label: str) -> list[tuple[float, str]]:
    """Of two labels that differ in a number, the smaller one comes first."""
    parts = re.split(r"(\d+(?:\.\d+)?)", label)  # words, number, words, ...
    return [(0.0, part) if index % 2 == 0 else (float(part), "") for index, part in enumerate(parts)]


def _gathered(runs: list[Run], key: Callable[[Run], str]) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(key(run), []).append(run)
    return dict(sorted(found.items()))


def _setting(run: Run) -> str:
    config = run.config
    data = config["data"]
    return json.dumps([data["name"], data["classes"], f"{config['labels']:012d}", config["encoder"], config["tune"]])


def _decisive(run: Run, unlabeled: int) -> dict[str, str]:
    """Everything that decides what a run computes, but for its seed.

    Args:
        unlabeled: how many texts a run had that does not say: all there are, as earlier versions knew no other way.
    """
    found = flat(decisive_but_seed(run.config))
    if run.method in ("none", REGRESSION):
        found.pop("data.unlabeled", None)  # it reads none of them
    else:
        found.setdefault("data.unlabeled", str(unlabeled))
    return found


def flat(value: Any, name: str = "") -> dict[str, str]:
    """Nested settings by dotted names; an objective is known by its name, not by its place in the list."""
    if isinstance(value, dict):
        inner = {f"{name}.{key}" if name else key: item for key, item in value.items() if key != "objective"}
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        kinds = [str(item.get("objective", index)) for index, item in enumerate(value)]
        inner = {name: ", ".join(kinds)} | {f"{name}.{kind}": item for kind, item in zip(kinds, value, strict=True)}
    else:
        return {name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}
    found: dict[str, str] = {}
    for key, item in inner.items():
        found |= flat(item, key)
    return found


def _labels(runs: list[Run], decisive: dict[Run, dict[str, str]]) -> list[str]:
    """A name for each group, no two alike: its method, and settings by which groups of one method differ."""
    named = {}
    for method in {run.method for run in runs}:
        own = [run for run in runs if run.method == method]
        named |= zip(own, _told_apart([decisive[run] for run in own]), strict=True)
    shown = {"none": LABELS_ALONE, **BASELINES}
    labels = [shown.get(run.method, run.method) + named[run] for run in runs]
    # Only names and values that hold such words themselves are alike by now.
    before = [labels[:place].count(label) for place, label in enumerate(labels)]
    return [f"{label} #{count + 1}" if count else label for label, count in zip(labels, before, strict=True)]


def _told_apart(groups: list[dict[str, str]]) -> list[str]:
    """Of each the first settings that differ, and of further ones those that tell some apart; none for one group."""
    names = sorted({name for group in groups for name in group})
    differing = [name for name in names if len({group.get(name) for group in groups}) > 1]
    # Where objectives differ their settings do, too, and say less.
    last = [name for name in differing if name.startswith("objectives.") and "objectives" in differing]
    first = [name for name in differing if name not in last]
    told: list[str] = first[:TOLD]
    for name in (*first[TOLD:], *last):
        if _kinds(groups, [*told, name]) > _kinds(groups, told):
            told.append(name)
    more = ", …" if set(first) - set(told) else ""
    said = [", ".join(f"{name.rpartition('.')[2]} {group.get(name, 'absent')}" for name in told) for group in groups]
    return [f" ({one}{more})" if one else "" for one in said]


def _kinds(groups: list[dict[str, str]], names: list[str]) -> int:
    return len({tuple(group.get(name) for name in names) for group in groups})
