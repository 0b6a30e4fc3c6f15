"""The options of `train` for several tasks on one encoder: which they are, and how they share the steps."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from text_uda.cli.data_options import DataChoice
from text_uda.cli.declarations import calls
from text_uda.cli.output import printable
from text_uda.cli.settings_options import declared_options
from text_uda.errors import SettingsError
from text_uda.ranges import TaskPower

if TYPE_CHECKING:
    from text_uda.objectives import Method
    from text_uda.tasks.method import TaskMethod

log = logging.getLogger("text_uda")


@dataclass(frozen=True, kw_only=True)
class TaskChoice:
    task: tuple[str, ...] = ()
    """A task and its data, NAME=DATA, instead of DATA; can be repeated. None: one task, or one for each --label-column
    of DATA."""

    tasks: str | None = None
    """How several tasks share the steps: all in each step, with fixed weights (joint), weights by their uncertainty, or
    gradients without conflicts (pcgrad), one task in each step (alternate), or all with one head (pooled; also for
    logistic-regression). None: joint."""

    task_weights: str | None = None
    """Factors on the losses of joint tasks, as in reviews=1,tweets=0.5. None: 1 each."""

    task_power: TaskPower | None = None
    """Exponent of the number of labeled rows by which alternate draws a task. None: 0.5."""

    def data_of_tasks(self, data: DataChoice) -> dict[str, DataChoice] | None:
        """The data of each task; None where there is one task, without a name.

        Several label columns that DATA itself has are tasks.

        Raises:
            DataError: as `tasks_of`.
            SettingsError: options that contradict each other.
        """
        if self.task:
            return self._by_name(data)
        from text_uda.data.named import TASKS
        from text_uda.data.several_tasks import tasks_of

        if not data.source:
            raise click.UsageError("Missing argument 'DATA'.", click.get_current_context())
        names_of_set = data.label_column if data.source in TASKS else ()
        if self.tasks is not None or names_of_set or len(data.label_column) > 1:
            of_tasks = tasks_of(data.arguments())
            if of_tasks:
                changed = ("source", "label_column", "partly_labeled")
                return {
                    name: dataclasses.replace(data, **{key: of_task[key] for key in changed if key in of_task})
                    for name, of_task in of_tasks.items()
                }
            _warn_of_unread_columns(data)
        for option in ("tasks", "task_weights", "task_power"):
            if getattr(self, option) is not None:
                raise SettingsError(
                    f"--{option.replace('_', '-')} is for several tasks, and there is one: give --task NAME=DATA for "
                    "each, or --label-column for several columns of DATA, or leave it out"
                )
        return None

    def _by_name(self, data: DataChoice) -> dict[str, DataChoice]:
        if data.source:
            raise SettingsError(f"--task names the data of each task: leave out {data.source!r}, or give it a name too")
        for option in ("test", "dev", "unlabeled"):
            if getattr(data, option):
                raise SettingsError(
                    f"--{option} FILE does not say which task it belongs to: leave it out (rows without a label in the "
                    "data of a task are its unlabeled texts; its test and development rows are drawn)"
                )
        of_tasks: dict[str, DataChoice] = {}
        for words in self.task:
            name, equals, source = words.partition("=")
            if not (name and equals and source):
                raise SettingsError(f"--task {words!r} is not NAME=DATA, such as reviews=reviews.csv")
            if name in of_tasks:
                raise SettingsError(f"--task {name!r} is given twice; each task has a name of its own")
            of_tasks[name] = dataclasses.replace(data, source=source)
        return of_tasks

    def checked_method(self, tasks: Sequence[str], objectives: "Sequence[Method]") -> "TaskMethod":
        """How the tasks share the steps, checked before their data is read.

        Raises:
            SettingsError: an option of another method, names that are no folders, a baseline without a shared head.
        """
        from text_uda import distributed
        from text_uda.tasks.task_checks import check_names, shared_baseline

        check_names(tasks)
        method = self._method()
        shared_baseline(dict.fromkeys(tasks, objectives), shares_head=method.shares_head)
        method.check(tasks, processes=distributed.processes())
        return method

    def _method(self) -> "TaskMethod":
        from text_uda.tasks.all_methods import METHODS

        name = self.tasks or "joint"
        settings = {field.name for field in dataclasses.fields(METHODS[name])}  # pyright: ignore[reportArgumentType]
        given = {"task_weights": self._weights(), "power": self.task_power}
        given = {setting: value for setting, value in given.items() if value is not None}
        if "task_weights" in given and "task_weights" not in settings:
            raise SettingsError(f"--task-weights are for the losses of joint tasks: leave it out with {name}")
        if "power" in given and "power" not in settings:
            raise SettingsError(f"--task-power is for --tasks alternate, which draws a task: leave it out with {name}")
        return dataclasses.replace(METHODS[name], **given)  # pyright: ignore[reportArgumentType, reportReturnType]

    def _weights(self) -> Mapping[str, float] | None:
        if self.task_weights is None:
            return None
        weights: dict[str, float] = {}
        for words in self.task_weights.split(","):
            name, _, number = words.partition("=")
            if name.strip() in weights:
                raise SettingsError(f"--task-weights: {name.strip()!r} is given twice; give one weight for each task")
            try:
                weights[name.strip()] = float(number)
            except ValueError as error:
                raise SettingsError(
                    f"--task-weights: {words!r} is not NAME=NUMBER, as in reviews=1,tweets=0.5"
                ) from error
        return weights


def _warn_of_unread_columns(data: DataChoice) -> None:
    """Several columns are tasks of a file or of a set of tasks, and of no other data set."""
    from text_uda.data.named import EMBEDDED, TASKS
    from text_uda.data.tables import names_files

    columns, reads_other_files = data.label_column, data.test is not None or data.dev is not None
    if len(columns) < 2 or reads_other_files or data.source in TASKS or names_files(data.source):
        return
    listed = " and ".join(map(repr, columns))
    if data.source in EMBEDDED:
        log.warning("%s has one label of its own: the label columns %s are not read", data.source, listed)
    else:
        log.warning(
            "%s is no file: its label column is %r, and %s is not read; several columns are tasks of a file alone",
            data.source,
            columns[0],
            " and ".join(map(repr, columns[1:])),
        )


def describe_results(result: Mapping[str, Any]) -> str:
    """A line for each task and one for their mean: errors on the development and the test rows."""

    def line(name: str, figures: Mapping[str, Any]) -> str:
        words = {"dev error": "dev_error", "test error": "test_error", "last test error": "last_test_error"}
        known = [f"{label} {figures[key]:.2f}%" for label, key in words.items() if figures[key] is not None]
        return f"{printable(name)}: {', '.join(known)}"

    lines = [line(name, figures) for name, figures in result["tasks"].items()]
    if len(lines) == 1:
        return lines[0]
    return "\n".join([*lines, line(f"mean of {len(lines)} tasks (step {result['best_step']:,})", result["mean"])])


task_options = declared_options(
    (__name__, "TaskChoice"),
    into=TaskChoice,
    under="tasks",
    group="Tasks",
    types={"tasks": click.Choice(tuple(calls("text_uda.tasks.all_methods", "METHODS")))},
    metavars={"task": "NAME=DATA", "task_weights": "NAME=X,..."},
)
