"""Prepares the inputs that trials share: the paraphrases, and the features of frozen encoders."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from itertools import chain
from typing import Any

from text_uda.augment.mlm import load_network
from text_uda.data.several_tasks import tasks_of
from text_uda.errors import SettingsError
from text_uda.experiment.trial import Trial, TrialRunner, encoding_settings
from text_uda.model.cuda import free_memory
from text_uda.paraphrasing.cache_access import missing_paraphrases, paraphrase, read_paraphrases
from text_uda.progress import followed
from text_uda.translate.ctranslate2 import open_translator
from text_uda.translate.marian_checkpoint import network
from translation_cache import Cache, Job, fingerprint

# Options of the command line whose name differs from the field of the augmentation.
_OPTIONS = {
    "tokenizer": "encoder",
    "temperature": "sampling-temperature",
    "precision": "translator-precision",
    "model": "mlm-model",
}


def prepare(trials: Sequence[Trial], runner: TrialRunner, *, fill: bool) -> None:
    """Compute the paraphrases and features of all trials, each once.

    Raises:
        SettingsError: paraphrases are missing, and `fill` is False.
    """
    _prepare_paraphrases(trials, runner, fill=fill)
    by_encoding: dict[Any, list[Trial]] = {}
    for trial in trials:
        if trial.settings.tune == "head":
            by_encoding.setdefault(encoding_settings(trial.settings), []).append(trial)
    for heads in by_encoding.values():
        _encode(heads, runner)
    _drop_models()


def _jobs(trials: Sequence[Trial]) -> list[tuple[Job, int]]:
    """The augmentations, each with the largest number of samples of a trial."""
    jobs: dict[str, tuple[Job, int]] = {}
    for trial in trials:
        if trial.augmentation is not None:
            key = fingerprint(trial.augmentation.settings())
            _, most = jobs.get(key, (None, 0))
            jobs[key] = (trial.augmentation, max(most, trial.settings.samples))
    return list(jobs.values())


def _prepare_paraphrases(trials: Sequence[Trial], runner: TrialRunner, *, fill: bool) -> None:
    jobs = _jobs(trials)
    texts = runner.training_texts if jobs else ()
    cache = Cache(runner.cache)
    missing = []
    for job, samples in jobs:
        method = job.settings()["method"]
        if fill:
            with followed(f"paraphrase ({method})", "rows") as on_progress:
                paraphrase(texts, job, cache, samples=samples, progress=on_progress)
        elif count := missing_paraphrases(texts, job, cache, samples=samples):
            missing.append(
                f"{count:,} {method} paraphrases are missing in {runner.cache}: {_instructions(runner, job, samples)}"
            )
    if missing:
        raise SettingsError("; ".join(missing) + "; or give --fill (fill=True) to make them here")


def _instructions(runner: TrialRunner, job: Job, samples: int) -> str:
    """The command that fills the cache, or the call where no command can express the augmentation.

    Tasks that are label columns of one file have a command each: `paraphrase` reads one.
    """
    options = list(_options(job))
    if any(value is None for _, value in options):
        return "make them first with text_uda.paraphrase(texts, augmentation, cache)"
    arguments = [("method", str(job.settings()["method"])), ("cache", runner.cache)]
    arguments += [(name, str(value)) for name, value in options]
    arguments += [("samples", str(samples))] if samples > 1 else []
    tasks = tasks_of(runner.data).values() if runner.of_tasks else ()
    columns = [of_task for of_task in tasks if "partly_labeled" in of_task]
    commands = [f"`{_command(data, arguments)}`" for data in columns or [runner.data]]
    return f"make them first with {' and '.join(commands)}"


def _command(data: Mapping[str, Any], arguments: Sequence[tuple[str, str]]) -> str:
    """`paraphrase` of these arguments of `load`."""
    omitted = ("dev", "numeric", "categorical", "vector", "partly_labeled")  # so it makes some more texts, not fewer
    data = {name: value for name, value in data.items() if name not in omitted}
    words = ["text-uda", "paraphrase", str(data.pop("source", ""))]
    repeated = {name: value if isinstance(value, tuple | list) else [value] for name, value in data.items()}
    of_data = [
        (name.replace("_", "-"), str(value))
        for name, values in repeated.items()
        for value in values
        if value is not None
    ]
    return shlex.join([*words, *(word for name, value in (*of_data, *arguments) for word in (f"--{name}", value))])


def _options(job: Job) -> Iterator[tuple[str, str | int | float | None]]:
    """(option, value) of the fields that differ from their defaults; None where no option can express the value."""
    if not is_dataclass(job):
        yield "", None
        return
    for field in fields(job):
        value = getattr(job, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        name = _OPTIONS.get(field.name, field.name).replace("_", "-")
        if name == "encoder" or (field.init and value != default and value is not None):
            for item in value if isinstance(value, tuple) else (value,):
                yield name, item if isinstance(item, str | int | float) else None


def _encode(heads: Sequence[Trial], runner: TrialRunner) -> None:
    """Encode the texts of trials that train a head only, once for all processes and all calls."""
    frozen = runner.frozen(heads[0].settings)
    for label, texts in (("encode", runner.training_texts), ("encode (test)", runner.test_texts)):
        with followed(label, "texts") as on_progress:
            frozen.rows(texts, progress=on_progress)
    for job, samples in _jobs(heads):
        paraphrases = chain.from_iterable(read_paraphrases(runner.training_texts, job, runner.cache, samples=samples))
        usable = [entry.text for entry in paraphrases if entry.status == "ok" and entry.text is not None]
        with followed(f"encode ({job.settings()['method']})", "texts") as on_progress:
            frozen.rows(usable, progress=on_progress)


def _drop_models() -> None:
    """Free the memory of the models that made paraphrases, for the processes of the trials."""
    for load in (network, open_translator, load_network):
        load.cache_clear()
    free_memory()
