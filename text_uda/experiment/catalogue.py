"""The studies of the field: each is a function of the setting, which they share, that gives its trials.

    table2        none, synonyms, SwitchOut, back-translation; with few labels and with all (Xie et al. 2019, Table 2)
    labels        error against the number of labels, with consistency and without
    objectives    every method, with few labels
    tsa           training signal annealing: none, log, linear, exp
    temperature   at which back-translation samples
    ratio         unlabeled rows for each labeled one of a step
    unlabeled     how many unlabeled texts there are
    ladder        a head, the last two layers, the whole encoder: labels alone, UDA with each augmentation, two others

Each begins with the baselines: logistic regression on the features of the frozen encoder, and in the first three
self-training from it. With all labels the unlabeled texts are those of the labeled rows: consistency is asked of texts
that have a label too. (The paper's rows with 650,000 labels train on augmented copies of them.)
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from text_uda.data import Labels
from text_uda.errors import SettingsError
from text_uda.experiment.sizes import Setting
from text_uda.experiment.trial import Trial
from text_uda.objectives import all_needs

_COUNTS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 500_000)


REGRESSION, SELF_TRAINING = "logistic-regression", "self-training"


def _baselines(labels: Labels) -> tuple[str, ...]:
    """Where all rows have a label, there is no other text to label."""
    return (REGRESSION,) if labels == "all" else (REGRESSION, SELF_TRAINING)


def table2(setting: Setting) -> Iterator[Trial]:
    for labels in (setting.few, "all"):
        yield from setting.baselines(*_baselines(labels), labels=labels, suffix=f"-{labels}")
        for name, job in {"none": None, **setting.augmentations}.items():
            yield from setting.trials(f"{name}-{labels}", labels=labels, augmentation=job)


def labels(setting: Setting) -> Iterator[Trial]:
    counts: list[Labels] = [count for count in _COUNTS if setting.classes <= count <= setting.most_labels]
    for count in (*counts, "all"):
        yield from setting.baselines(*_baselines(count), labels=count, suffix=f"-{count}")
        for name, job in {"none": None, "switchout": setting.switchout}.items():
            yield from setting.trials(f"{name}-{count}", labels=count, augmentation=job)


def objectives(setting: Setting) -> Iterator[Trial]:
    for name, preset in setting.presets.items():
        reads_another_view = all_needs(preset.losses).second_view
        yield from setting.trials(
            name,
            objectives=preset.objectives,
            averaging=preset.averaging,
            augmentation=setting.switchout if reads_another_view else None,
        )


def tsa(setting: Setting) -> Iterator[Trial]:
    yield from setting.baselines(REGRESSION)
    yield from setting.trials("none")
    for schedule in (None, "log", "linear", "exp"):
        yield from setting.trials(
            f"tsa-{schedule or 'none'}",
            objectives=(replace(setting.supervised, tsa=schedule), setting.consistency),
            augmentation=setting.switchout,
        )


def temperature(setting: Setting) -> Iterator[Trial]:
    if "apertium:" in setting.back_translation.translator:
        raise SettingsError(
            "Apertium translates a sentence in one way and has no temperature; give --translator marian:THERE,BACK "
            "(or ctranslate2:THERE,BACK)"
        )
    yield from setting.baselines(REGRESSION)
    yield from setting.trials("none")
    for degrees in (0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.2):
        job = replace(setting.back_translation, temperature=degrees)
        yield from setting.trials(f"temperature-{degrees}", augmentation=job)


def ratio(setting: Setting) -> Iterator[Trial]:
    yield from setting.baselines(REGRESSION)
    yield from setting.trials("none")
    for rows in (1, 2, 4, 7, 15, 31):
        settings = replace(setting.settings, unlabeled_ratio=rows)
        yield from setting.trials(f"ratio-{rows}", augmentation=setting.switchout, settings=settings)


def unlabeled(setting: Setting) -> Iterator[Trial]:
    yield from setting.baselines(REGRESSION)
    yield from setting.trials("none")
    for count in (*(count for count in (100, 300, 1000, 3000, *_COUNTS[9:]) if count < setting.rows / 2), None):
        yield from setting.trials(f"unlabeled-{count or 'all'}", augmentation=setting.switchout, unlabeled=count)


def ladder(setting: Setting) -> Iterator[Trial]:
    """A report holds methods against the baselines of the same `tune`: each rung has its own, of seconds."""
    for tune in ("head", "last:2", "all"):
        settings, trained = setting.tuned(tune), tune.replace(":", "-")
        prefix = "" if tune == "head" else f"{trained}-"
        yield from setting.baselines(REGRESSION, SELF_TRAINING, prefix=prefix, settings=settings)
        for name, job in {"none": None, **setting.augmentations}.items():
            yield from setting.trials(f"{trained}-{name}", augmentation=job, settings=settings)
        for name in ("freematch", "softmatch"):
            losses = setting.presets[name].objectives
            yield from setting.trials(
                f"{trained}-{name}", objectives=losses, augmentation=setting.switchout, settings=settings
            )


STUDIES: dict[str, Callable[[Setting], Iterator[Trial]]] = {
    study.__name__: study for study in (table2, labels, objectives, tsa, temperature, ratio, unlabeled, ladder)
}
