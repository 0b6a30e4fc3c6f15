"""Several tasks on one encoder against a run of each task alone: in the mean over the tasks, and task by task."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from text_uda.report.comparison import Comparison, Group
from text_uda.report.contrast import Contrast, Errors, contrasts
from text_uda.report.seed_statistics import Estimate, estimate, p_text

_NOTHING = "\N{EN DASH}"
LEGEND = (
    "Mean ± 95% interval over seeds (Student's t) on these test rows; the mean counts each task alike. vs one task: "
    "test error minus that of the same method in a run of this task alone, paired by seed. p: of the paired t test, "
    "Holm-adjusted within this table."
)


@dataclass(frozen=True, eq=False)
class TaskMeans:
    """Tasks that share an encoder in some runs and were trained alone in others."""

    comparisons: Mapping[str, Comparison]
    """By task, all with the same number of labels, encoder and trained weights."""

    @property
    def title(self) -> str:
        any_task = next(iter(self.comparisons.values()))
        labels = any_task.config["labels"]
        return f"Mean of {len(self.comparisons)} tasks, {labels:,} labels of each, {any_task.model}"

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
        """The method of single tasks with which a method of several is compared."""
        alone = {groups[next(iter(groups))].method: label for label, groups in self.groups.items() if _is_alone(groups)}
        of_several = {label: groups for label, groups in self.groups.items() if not _is_alone(groups)}
        methods = {label: groups[next(iter(groups))].runs[0].method_alone for label, groups in of_several.items()}
        return {label: alone[method] for label, method in methods.items() if method in alone}

    @cached_property
    def changes(self) -> dict[str, Contrast]:
        """Each method of several tasks against single tasks, in the mean."""
        pairs = [*self.references.items()]
        return {label: contrast for (label, _), contrast in contrasts(self.errors, {}, pairs, self.title).items()}

    def change_of(self, label: str, task: str) -> Estimate | None:
        """The difference of one task."""
        reference = self.references.get(label)
        if reference is None:
            return None
        errors, base = (self.groups[one][task].by_seed("test_error") for one in (label, reference))
        return estimate([errors[seed] - base[seed] for seed in sorted(errors.keys() & base.keys())])


def task_means(comparisons: Sequence[Comparison]) -> list[TaskMeans]:
    """A table for each number of labels, encoder and trained weights; of the tasks that also have runs of their own."""
    by_setting: dict[str, dict[str, Comparison]] = {}
    for comparison in comparisons:
        shared = [group.runs[0].config for group in comparison.groups if not _is_alone({"": group})]
        if not shared or len(shared) == len(comparison.groups):
            continue
        fewest = min((config["shared"]["tasks"] for config in shared), key=len)
        config = comparison.config
        setting = json.dumps([fewest, config["labels"], config["encoder"], config["tune"]])
        by_setting.setdefault(setting, {})[shared[0]["task"]] = comparison
    in_order = [
        {task: of_tasks[task] for task in json.loads(setting)[0] if task in of_tasks}
        for setting, of_tasks in sorted(by_setting.items(), key=lambda item: json.loads(item[0])[1:])
    ]
    return [TaskMeans(of_tasks) for of_tasks in in_order if len(of_tasks) > 1]


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


def _is_alone(groups: Mapping[str, Group]) -> bool:
    return all("shared" not in run.config for group in groups.values() for run in group.runs)


def _text(value: Estimate | None, *, sign: bool = False) -> str:
    return _NOTHING if value is None else value.text(sign=sign)
