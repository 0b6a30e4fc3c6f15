"""What trials read is made before they run: the paraphrases, and what a frozen encoder makes of the texts."""

import gc
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields, is_dataclass
from itertools import chain
from typing import Any

from text_uda.errors import SettingsError
from text_uda.experiment.trial import Bench, Trial, encoding
from text_uda.paraphrasing.cache_access import missing_paraphrases, paraphrase, read_paraphrases
from text_uda.progress import followed
from translation_cache import Cache, Job, fingerprint

# What fields of augmentations are called on the command line, where that is another name.
_OPTIONS = {
    "tokenizer": "encoder",
    "temperature": "sampling-temperature",
    "precision": "translator-precision",
    "model": "mlm-model",
}


def prepare(trials: Sequence[Trial], bench: Bench, *, fill: bool) -> None:
    """Paraphrases and features of all trials, each made once.

    Raises:
        SettingsError: paraphrases are missing, and are not to be made here.
    """
    _prepare_paraphrases(trials, bench, fill=fill)
    alike: dict[Any, list[Trial]] = {}
    for trial in trials:
        if trial.settings.tune == "head":
            alike.setdefault(encoding(trial.settings), []).append(trial)
    for heads in alike.values():
        _encode(heads, bench)
    _let_go_of_the_gpu()


def _jobs(trials: Sequence[Trial]) -> list[tuple[Job, int]]:
    """The augmentations, and the most samples that a trial asks of each."""
    found: dict[str, tuple[Job, int]] = {}
    for trial in trials:
        if trial.augmentation is not None:
            mark = fingerprint(trial.augmentation.settings())
            _, most = found.get(mark, (None, 0))
            found[mark] = (trial.augmentation, max(most, trial.settings.samples))
    return list(found.values())


def _prepare_paraphrases(trials: Sequence[Trial], bench: Bench, *, fill: bool) -> None:
    jobs = _jobs(trials)
    texts = bench.corpus.training_texts() if jobs else ()
    cache = Cache(bench.cache)
    missing = []
    for job, samples in jobs:
        method = job.settings()["method"]
        if fill:
            with followed(f"paraphrase ({method})", "rows") as on_progress:
                paraphrase(texts, job, cache, samples=samples, progress=on_progress)
        elif count := missing_paraphrases(texts, job, cache, samples=samples):
            missing.append(f"{count:,} {method} paraphrases are missing in {bench.cache}: {_how(bench, job, samples)}")
    if missing:
        raise SettingsError("; ".join(missing) + "; or give --fill (fill=True) to make them here")


def _how(bench: Bench, job: Job, samples: int) -> str:
    """How to fill the cache, by a command where the command line knows such an augmentation."""
    options = list(_options(job))
    if any(value is None for _, value in options):
        return "make them first with text_uda.paraphrase(texts, augmentation, cache)"
    data = {"source": "", **bench.data}
    words = ["text-uda", "paraphrase", str(data.pop("source"))]
    data.pop("dev", None)  # the texts are then fewer: those that are missing are among those that are made
    given = [(name.replace("_", "-"), str(value)) for name, value in data.items() if value is not None]
    given += [("method", str(job.settings()["method"])), ("cache", bench.cache), *((n, str(v)) for n, v in options)]
    given += [("samples", str(samples))] if samples > 1 else []
    words += [word for name, value in given for word in (f"--{name}", value)]
    return f"make them first with `{shlex.join(words)}`"


def _options(job: Job) -> Iterator[tuple[str, str | int | float | None]]:
    """(option, value) of what differs from the augmentation's defaults; None where no option can say it."""
    if not is_dataclass(job):
        yield "", None
        return
    for field in fields(job):
        value = getattr(job, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        name = _OPTIONS.get(field.name, field.name).replace("_", "-")
        if name == "encoder" or (field.init and value != default and value is not None):
            for each in value if isinstance(value, tuple) else (value,):
                yield name, each if isinstance(each, str | int | float) else None


def _encode(heads: Sequence[Trial], bench: Bench) -> None:
    """Encode, once for all processes and all calls, what trials that train a head alone will read."""
    frozen = bench.frozen(heads[0].settings)
    corpus = bench.corpus
    for label, texts in (("encode", corpus.training_texts()), ("encode (test)", corpus.test.texts)):
        with followed(label, "texts") as on_progress:
            frozen.rows(texts, progress=on_progress)
    for job, samples in _jobs(heads):
        made = read_paraphrases(corpus.training_texts(), job, bench.cache, samples=samples)
        usable = [each.text for each in chain.from_iterable(made) if each.status == "ok" and each.text is not None]
        with followed(f"encode ({job.settings()['method']})", "texts") as on_progress:
            frozen.rows(usable, progress=on_progress)


def _let_go_of_the_gpu() -> None:
    """Of what translating (and a measured minute) held there: the processes of the trials need the room."""
    import torch

    from text_uda.translate.marian_checkpoint import network

    network.cache_clear()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
