"""The named studies, and the sizes they come in. A study is a function from a `Setting` to its trials.

A new study is one function and its line in STUDIES, from which the command line takes its choices: nothing heavy is
imported here.

Each study begins with the baselines: logistic regression on the features of the frozen encoder, and in `table2`,
`labels`, `objectives` and `ladder` also self-training from it. With all labels, the unlabeled texts are those of the
labeled rows: consistency applies to texts that have a label too. (The paper's rows with 650,000 labels train on
augmented copies of them.)
"""

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

from text_uda.errors import SettingsError

if TYPE_CHECKING:
    from text_uda.data import Labels
    from text_uda.experiment.sizes import Setting
    from text_uda.experiment.trial import Trial

log = logging.getLogger("text_uda")

Size = Literal["smoke", "small", "paper", "usb"]
"""A quick check, a laptop, the UDA paper, the USB benchmark: see `sizes`."""
SIZES: tuple[Size, ...] = get_args(Size)

REGRESSION, SELF_TRAINING = "logistic-regression", "self-training"

_COUNTS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 500_000)


def table2(setting: "Setting") -> "Iterator[Trial]":
    """No augmentation, synonyms, SwitchOut, back-translation; few labels and all (Xie et al. 2019, Table 2)."""
    for labels in (setting.few, "all"):
        yield from setting.baselines(*_baselines(labels), labels=labels, suffix=f"-{labels}")
        for name, augmentation in {"none": None, **setting.augmentations}.items():
            yield from setting.trials(f"{name}-{labels}", labels=labels, augmentation=augmentation)


def labels(setting: "Setting") -> "Iterator[Trial]":
    """Number of labels, with consistency and without."""
    counts: list[Labels] = [count for count in _COUNTS if setting.classes <= count <= setting.most_labels]
    for count in (*counts, "all"):
        yield from setting.baselines(*_baselines(count), labels=count, suffix=f"-{count}")
        for name, augmentation in {"none": None, "switchout": setting.switchout}.items():
            yield from setting.trials(f"{name}-{count}", labels=count, augmentation=augmentation)


def objectives(setting: "Setting") -> "Iterator[Trial]":
    """Every method, with few labels."""
    from text_uda.objectives import all_needs

    for name, preset in setting.presets.items():
        yield from setting.trials(
            name,
            objectives=preset.objectives,
            averaging=preset.averaging,
            augmentation=setting.switchout if all_needs(preset.losses).second_view else None,
        )


def tsa(setting: "Setting") -> "Iterator[Trial]":
    """Training signal annealing: none, log, linear, exp."""
    yield from setting.baselines(REGRESSION)
    yield from setting.trials("none")
    for schedule in (None, "log", "linear", "exp"):
        yield from setting.trials(
            f"tsa-{schedule or 'none'}",
            objectives=(replace(setting.supervised, tsa=schedule), setting.consistency),
            augmentation=setting.switchout,
        )


def temperature(setting: "Setting") -> "Iterator[Trial]":
    """Sampling temperature of back-translation; greedy decoding beside."""
    [job, *others] = setting.back_translations.values()
    if others:
        raise SettingsError("the study temperature takes one --translator")
    if "apertium:" in job.translator:
        raise SettingsError(
            "Apertium gives one translation per sentence and has no temperature; give --translator "
            "marian:FORWARD,BACK (or ctranslate2:FORWARD,BACK)"
        )
    yield from setting.baselines(REGRESSION)
    yield from setting.trials("none")
    for value in (None, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.2):
        name = "greedy" if value is None else f"temperature-{value}"
        yield from setting.trials(name, augmentation=replace(job, temperature=value))


def ratio(setting: "Setting") -> "Iterator[Trial]":
    """Unlabeled rows per labeled row of a step."""
    yield from setting.baselines(REGRESSION)
    yield from setting.trials("none")
    for rows in (1, 2, 4, 7, 15, 31):
        settings = replace(setting.settings, unlabeled_ratio=rows)
        yield from setting.trials(f"ratio-{rows}", augmentation=setting.switchout, settings=settings)


def unlabeled(setting: "Setting") -> "Iterator[Trial]":
    """Number of unlabeled texts."""
    yield from setting.baselines(REGRESSION)
    yield from setting.trials("none")
    for count in (*(count for count in (100, 300, 1000, 3000, *_COUNTS[9:]) if count < setting.rows / 2), None):
        yield from setting.trials(f"unlabeled-{count or 'all'}", augmentation=setting.switchout, unlabeled=count)


def ladder(setting: "Setting") -> "Iterator[Trial]":
    """A head, the last two layers, the whole encoder; with each augmentation, FreeMatch and SoftMatch.

    A report compares methods with the baselines of the same `tune`, so each has its own, which take seconds.
    """
    for tune in ("head", "last:2", "all"):
        settings, trained = setting.tuned(tune), tune.replace(":", "-")
        prefix = "" if tune == "head" else f"{trained}-"
        yield from setting.baselines(REGRESSION, SELF_TRAINING, prefix=prefix, settings=settings)
        for name, augmentation in {"none": None, **setting.augmentations}.items():
            yield from setting.trials(f"{trained}-{name}", augmentation=augmentation, settings=settings)
        for name in ("freematch", "softmatch"):
            losses = setting.presets[name].objectives
            yield from setting.trials(
                f"{trained}-{name}", objectives=losses, augmentation=setting.switchout, settings=settings
            )


def tasks(setting: "Setting") -> "Iterator[Trial]":
    """Several tasks on one encoder, by each method, and alone; N labels of each task and N/4; also with consistency.

    The rows of a task in a step are those of a run of this task alone. `Alternate` trains one task in a step, so it has
    as many times the steps as there are tasks: each task then sees as many rows as in the other runs. The task with
    random labels shows what a useless task costs the others.
    """
    from text_uda.data.several_tasks import free_name
    from text_uda.tasks.alternate import Alternate
    from text_uda.tasks.joint import Joint
    from text_uda.tasks.pooled import Pooled
    from text_uda.tasks.task_checks import check_names

    if len(setting.tasks) < 2:
        raise SettingsError(
            "this study needs data with several tasks: --data rated-texts or rated-labels, or a file with a "
            "--label-column for each"
        )
    check_names(setting.tasks)
    together = {
        "joint": Joint(),
        "uncertainty": Joint(weights="uncertainty"),
        "pcgrad": Joint(weights="pcgrad"),
        "alternate": Alternate(),
        **({"pooled": Pooled()} if setting.same_classes else {}),
    }
    words: dict[str, str] = {}
    for task in setting.tasks:
        words[task] = free_name(_word(task), ["random", *together, *words.values()])
    trials: list[Trial] = []
    for count in (setting.few // 4, setting.few):
        if count < setting.classes:
            log.warning("no runs with %d labels of each task: a task has %d classes", count, setting.classes)
            continue
        for task in setting.tasks:
            prefix, suffix = f"{words[task]}-", f"-{count}"
            trials += setting.baselines(REGRESSION, labels=count, prefix=prefix, suffix=suffix, task=task)
        if setting.same_classes:
            prefix, suffix = "pooled-", f"-{count}"
            trials += setting.baselines(REGRESSION, labels=count, prefix=prefix, suffix=suffix, task_method=Pooled())
        for name, augmentation in {"none": None, "switchout": setting.switchout}.items():
            shared = {"labels": count, "augmentation": augmentation}
            for task in setting.tasks:
                trials += setting.trials(f"{words[task]}-{name}-{count}", task=task, **shared)
            for how, method in together.items():
                settings = setting.settings if how != "alternate" else setting.longer(len(setting.tasks))
                trials += setting.trials(f"{how}-{name}-{count}", task_method=method, settings=settings, **shared)
            trials += setting.trials(f"random-{name}-{count}", task_method=Joint(), random_task=True, **shared)
    yield from sorted(trials, key=lambda trial: trial.settings.seed)  # a study that is cut has whole seeds


def fusion(setting: "Setting") -> "Iterator[Trial]":
    """The text, the columns, three ways to join them, and the pick of the development rows; N labels and ten times N.

    Without consistency and with it. The baselines read the text, the columns, and both side by side.
    """
    from text_uda.fusion import Choose, ColumnsAlone, Late, TextAlone

    if not setting.columns:
        raise SettingsError(
            "this study needs rows with other columns: --data wordnet-14 or films, or a file with --numeric, "
            "--categorical or --vector"
        )
    baselines = {"text": TextAlone(), "columns": ColumnsAlone(hidden=None), "both": Late(hidden=None)}
    trials: list[Trial] = []
    for count in (setting.few, 10 * setting.few):
        if count > setting.most_labels:
            log.warning("no runs with %d labels: the data has at most %d for training", count, setting.most_labels)
            continue
        for name, read in baselines.items():
            trials += setting.baselines(REGRESSION, labels=count, suffix=f"-{name}-{count}", fusion=read)
        for name, augmentation in {"none": None, "switchout": setting.switchout}.items():
            trials += setting.trials(f"{name}-{count}", labels=count, augmentation=augmentation, fusion=Choose())
    yield from sorted(trials, key=lambda trial: trial.settings.seed)  # a study that is cut has whole seeds


STUDIES: "dict[str, Callable[[Setting], Iterator[Trial]]]" = {
    study.__name__: study
    for study in (table2, labels, objectives, tsa, temperature, ratio, unlabeled, ladder, tasks, fusion)
}


def _word(task: str) -> str:
    """The name of a task, for the name of a trial."""
    return re.sub("[^A-Za-z0-9.]", "-", task).lstrip(".-") or "task"


def _baselines(labels: "Labels") -> tuple[str, ...]:
    """With all labels, self-training has no other text to label."""
    return (REGRESSION,) if labels == "all" else (REGRESSION, SELF_TRAINING)
