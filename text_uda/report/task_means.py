"""Several tasks on one encoder against a run of each task alone: in the mean over the tasks, and task by task."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from text_uda.report.comparison import Comparison, Group
from text_uda.report.contrast import Contrast, Errors, contrasts
from text_uda.report.load_runs import Run
from text_uda.report.seed_statistics import Estimate, estimate, p_text

_NOTHING = "\N{EN DASH}"
LEGEND = (
    "Mean ± 95% interval over seeds (Student's t) on these test rows; the mean counts each task alike. vs one task: "
    "test error minus that of the same settings, steps of a task and rows in a run of this task alone, paired by seed. "
    "p: of the paired t test, Holm-adjusted within this table."
)

# Settings that say that a run has several tasks, or follow from the number of its steps.
_OF_SEVERAL = {"method", "task", *(f"settings.{name}" for name in ("steps", "evaluate_every", "warmup_steps"))}


@dataclass(frozen=True, eq=False)
class TaskMeans:
    """Tasks that share an encoder in some runs and were trained alone in others."""

    comparisons: Mapping[str, Comparison]
    """By task, all with the same encoder and trained weights."""

    @property
    def title(self) -> str:
        any_task = next(iter(self.comparisons.values()))
        return f"Mean of {len(self.comparisons)} tasks, {self.labels} labels of each, {any_task.model}"

    @property
    def labels(self) -> str:
        """The number of labels of each task: one, or the range."""
        numbers = sorted({comparison.config["labels"] for comparison in self.comparisons.values()})
        return f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"

    @cached_property
    def groups(self) -> dict[str, dict[str, Group]]:
        """By method and by task: the methods that each task has."""
        by_label = [{group.label: group for group in comparison.groups} for comparison in self.comparisons.values()]
        return {
            label: dict(zip(self.comparisons, (of_task[label] for of_task in by_label), strict=True))
            for label in by_label[0]
            if all(label in of_task for of_task in by_label)
        }

    @cached_property
    def errors(self) -> dict[str, Errors]:
        """Mean test error over the tasks, by method and by the seeds that all tasks have."""
        means = {}
        for label, groups in self.groups.items():
            of_tasks = [group.by_seed("test_error") for group in groups.values()]
            seeds = sorted(set.intersection(*({*by_seed} for by_seed in of_tasks)))
            means[label] = {seed: fmean(by_seed[seed] for by_seed in of_tasks) for seed in seeds}
        return means

    @cached_property
    def references(self) -> dict[str, str]:
        """The group of single tasks with which a group of several is compared, if there is one: the settings, the
        steps of a task, and the data of each seed are the same.
        """
        alone = [label for label, groups in self.groups.items() if _is_alone(groups)]
        references = {}
        for label in self._of_several:
            same = [
                one
                for one in alone
                if self._settings(one) == self._settings(label)
                and self._steps_of_a_task(one) == self._steps_of_a_task(label)
                and self._has_data_of(one, label)
            ]
            if len(same) == 1:
                references[label] = same[0]
        return references

    @property
    def _of_several(self) -> list[str]:
        return [label for label, groups in self.groups.items() if not _is_alone(groups)]

    def _settings(self, label: str) -> list[dict[str, str]]:
        """Of each task, without what a run of several tasks has otherwise: `Alternate` takes more steps."""
        return [
            {
                name: value
                for name, value in group.settings.items()
                if name not in _OF_SEVERAL and not name.startswith("shared.")
            }
            for group in self.groups[label].values()
        ]

    def _steps_of_a_task(self, label: str) -> list[float]:
        """Of each task: the steps in which a task has rows, in the mean over the tasks."""
        configs = [group.runs[0].config for group in self.groups[label].values()]
        shared = configs[0].get("shared", {})
        in_turn = shared.get("method", {}).get("method") == "Alternate"
        return [config["settings"].get("steps", 0) / (len(shared["tasks"]) if in_turn else 1) for config in configs]

    def _has_data_of(self, one: str, other: str) -> bool:
        """Whether the rows of both are the same, in the seeds that both have."""
        for task in self.comparisons:
            of_one, of_other = (_digests(self.groups[label][task]) for label in (one, other))
            if any(of_one[seed] != of_other[seed] for seed in of_one.keys() & of_other.keys()):
                return False
        return True

    @property
    def notes(self) -> str:
        """The legend, and what is left out."""
        notes = [LEGEND]
        shown = {*self.groups}
        labels = dict.fromkeys(group.label for comparison in self.comparisons.values() for group in comparison.groups)
        if some := [label for label in labels if label not in shown]:
            notes.append(f"Left out, as not each task has such runs: {'; '.join(some)}.")
        if single := [label for label in self._of_several if label not in self.references]:
            notes.append(
                "Not compared, as no runs of one task, or several, have these settings, steps and training rows: "
                f"{'; '.join(single)}."
            )
        return " ".join([*notes, *self._costs_of_further_tasks()])

    def _costs_of_further_tasks(self) -> Iterator[str]:
        """What a task that this table does not have, such as one with random labels, costs the others."""
        for label in self._of_several:
            further = self._further_tasks(label)
            without = [
                one
                for one in self._of_several
                if not self._further_tasks(one)
                and self._method(one) == self._method(label)
                and self._settings(one) == self._settings(label)
                and self._steps_of_a_task(one) == self._steps_of_a_task(label)
                and self._has_data_of(one, label)
            ]
            if further and len(without) == 1:
                errors, base = self.errors[label], self.errors[without[0]]
                change = estimate([errors[seed] - base[seed] for seed in sorted(errors.keys() & base.keys())])
                if change is not None:
                    words = f"{label}, with {', '.join(further)}, against {without[0]}"
                    yield f"{words}: {change.text(2, sign=True)} points, paired by seed."

    def _further_tasks(self, label: str) -> list[str]:
        return [task for task in self._shared(label)["tasks"] if task not in self.comparisons]

    def _method(self, label: str) -> dict[str, Any]:
        return self._shared(label)["method"]

    def _shared(self, label: str) -> dict[str, Any]:
        """What the runs of a method of several tasks record of it."""
        return next(iter(self.groups[label].values())).runs[0].config["shared"]

    @cached_property
    def changes(self) -> dict[str, Contrast]:
        """Each method of several tasks against single tasks, in the mean."""
        pairs = [*self.references.items()]
        return {label: contrast for (label, _), contrast in contrasts(self.errors, {}, pairs, self.title).items()}

    def findings(self) -> Iterator[str]:
        """The main result in a sentence, also where sharing the encoder does not help."""
        changes = {label: change for label, one in self.changes.items() if (change := one.change) is not None}
        if not changes:
            return
        compared = [label for label, groups in self.groups.items() if label in changes or _is_alone(groups)]
        means = {label: mean for label in compared if (mean := estimate(list(self.errors[label].values())))}
        best, closest = (min(labels, key=lambda label: means[label].mean) for labels in (means, changes))
        alone = f"{means[self.references[closest]].text()}% with {self.references[closest]} in a run of each task alone"
        if best == closest:
            words = f"The mean error is lowest with {best}: {means[best].text()}%, against {alone}."
        else:
            words = (
                f"No method that trains several tasks has a lower mean error than {best}, {means[best].text()}%. The "
                f"closest is {closest}, with {means[closest].text()}%, against {alone}."
            )
        yield f"{words} {changes[closest].paired_words()}"

    def change_of(self, label: str, task: str) -> Estimate | None:
        """The difference of one task."""
        reference = self.references.get(label)
        if reference is None:
            return None
        errors, base = (self.groups[one][task].by_seed("test_error") for one in (label, reference))
        return estimate([errors[seed] - base[seed] for seed in sorted(errors.keys() & base.keys())])


def task_means(comparisons: Sequence[Comparison]) -> list[TaskMeans]:
    """A table for each set of tasks that runs trained together, of those that also have runs of their own.

    The folder of a run tells which data it trained together: two files can have tasks of the same names.
    """
    by_run: dict[Path, dict[str, Comparison]] = {}
    for comparison in comparisons:
        for run in _shared_runs(comparison):
            by_run.setdefault(_folder(run), {})[run.config["task"]] = comparison
    tables: dict[frozenset[Comparison], dict[str, Comparison]] = {}
    orders: dict[frozenset[Comparison], list[str]] = {}
    for comparison in comparisons:
        for run in _shared_runs(comparison):
            of_run = {task: one for task, one in by_run[_folder(run)].items() if _has_single_runs(one)}
            key, order = frozenset(of_run.values()), run.config["shared"]["tasks"]
            tables.setdefault(key, of_run)
            orders[key] = min(order, orders.get(key, order), key=len)
    return [
        TaskMeans({task: of_tasks[task] for task in orders[key] if task in of_tasks})
        for key, of_tasks in tables.items()
        if len(of_tasks) > 1
    ]


def without_table(comparisons: Sequence[Comparison]) -> list[str]:
    """The methods of several tasks that no table has, and why."""
    shown = [set(means.comparisons.values()) for means in task_means(comparisons)]
    folders = {_folder(run) for of_table in shown for one in of_table for run in _shared_runs(one)}
    left = {
        f"{one.title}, {group.label}": None
        for one in comparisons
        for group in one.groups
        if not _is_alone({"": group}) and not any(_folder(run) in folders for run in group.runs)
    }
    why = "no table of the mean over tasks has these runs, as fewer than two of their tasks have runs of one task"
    return [f"{name}: {why}." for name in left]


def _shared_runs(comparison: Comparison) -> list[Run]:
    return [run for group in comparison.groups for run in group.runs if "shared" in run.config]


def _has_single_runs(comparison: Comparison) -> bool:
    return any(_is_alone({"": group}) for group in comparison.groups)


def _folder(run: Run) -> Path:
    """Of the run of several tasks: RUN/tasks/NAME is that of a task."""
    return run.path.absolute().parent.parent


def mean_rows(means: TaskMeans) -> list[list[str]]:
    """The header, then one line per method, not escaped."""
    tasks = list(means.comparisons)
    columns = ["mean error %", "vs one task", "p", *(f"{task} %" for task in tasks)]
    lines = [["method", "seeds", *columns, *(f"{task} vs one task" for task in tasks)]]
    for label, groups in means.groups.items():
        errors, change = means.errors[label], means.changes.get(label)
        cells = [_text(estimate(list(errors.values()))), _text(change and change.change, sign=True)]
        cells.append(_NOTHING if change is None or change.p is None else p_text(change.p))
        cells += [_text(group.estimate("test_error")) for group in groups.values()]
        cells += [_text(means.change_of(label, task), sign=True) for task in tasks]
        lines.append([label, str(len(errors)), *cells])
    return lines


def _digests(group: Group) -> dict[int, set[str]]:
    """Of the rows of each seed."""
    digests: dict[int, set[str]] = {}
    for run in group.runs:
        digests.setdefault(run.seed, set()).add(run.config["data"]["digest"])
    return digests


def _is_alone(groups: Mapping[str, Group]) -> bool:
    return all("shared" not in run.config for group in groups.values() for run in group.runs)


def _text(value: Estimate | None, *, sign: bool = False) -> str:
    return _NOTHING if value is None else value.text(sign=sign)
