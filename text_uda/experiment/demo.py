"""The whole way on real reviews, on a CPU, in minutes: paraphrase, train on the same labels in each way, compare."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from text_uda.augment import BackTranslation, SwitchOut
from text_uda.data import Split, load, split
from text_uda.errors import MissingPartError
from text_uda.experiment.sizes import CONSISTENCY, SETTINGS
from text_uda.model.frozen_encoder import encoder_of
from text_uda.model.pretrained import load_classifier
from text_uda.objectives import PRESETS, UDA, Supervised
from text_uda.paraphrasing.cache_access import paraphrase
from text_uda.progress import followed
from text_uda.report import build, markdown_table
from text_uda.training.train_classifier import train
from translation_cache import Cache, Job

DATA = "movie-snippets"
LABELS = 100
SEEDS = (0, 1, 2)


def run(out: Path) -> dict[str, Any]:
    """Everything into the folder `out`; begun again it goes on where it was. Prints the table and where the report is.

    Returns:
        table (Markdown), report (path), runs (paths), cache (path).
    """
    corpus = load(DATA)
    print(f"{corpus.name}: {corpus.description}; {LABELS} with a label", flush=True)
    cache = Cache(out / "cache")
    fill((*corpus.train.texts, *corpus.unlabeled), cache)
    runs = train_all({seed: split(corpus, labels=LABELS, seed=seed) for seed in SEEDS}, cache, out / "runs")
    report = build(runs, out / "report.html")
    table = markdown_table(runs)
    print(f"\n{table}\n\nthe paraphrases: text-uda cache show {cache}\nthe report: {report}")
    return {"table": table, "report": str(report), "runs": [str(path) for path in runs], "cache": str(cache)}


def augmentations() -> dict[str, tuple[Job, int]]:
    """What is compared with none, and how many samples of each. Says so where back-translation cannot be had."""
    found: dict[str, tuple[Job, int]] = {"switchout": (SwitchOut(tokenizer=SETTINGS.encoder), 2)}
    try:
        job = BackTranslation(translator="apertium:eng-spa")
        job.settings()
        found["back-translation"] = (job, 1)
    except MissingPartError as error:
        print(f"without back-translation: {error}", flush=True)
    return found


def fill(texts: Sequence[str], cache: Cache) -> None:
    """Paraphrase the texts in each way."""
    for name, (job, samples) in augmentations().items():
        with followed(f"paraphrase ({name})", "rows") as on_progress:
            paraphrase(texts, job, cache, samples=samples, progress=on_progress)


def train_all(splits: Mapping[int, Split], cache: Cache, out: Path, *, consistency: UDA = CONSISTENCY) -> list[Path]:
    """Fit the baselines, train on the labels alone, and with each augmentation, on the split of each seed. The run
    directories."""
    classes = next(iter(splits.values())).classes
    pretrained = load_classifier(SETTINGS.encoder, classes, seed=0)
    frozen = encoder_of(pretrained.model, pretrained.tokenizer, SETTINGS)
    runs = []
    for seed, part in splits.items():
        settings = replace(SETTINGS, seed=seed)
        for name in ("logistic-regression", "self-training"):
            runs.append(out / f"{name}-{seed}")
            train(part, objectives=PRESETS[name].objectives, settings=settings, out=runs[-1], frozen=frozen)
        runs.append(out / f"none-{seed}")
        train(part, objectives=(Supervised(),), settings=settings, out=runs[-1], frozen=frozen)
        for name, (job, samples) in augmentations().items():
            runs.append(out / f"{name}-{seed}")
            train(
                part,
                objectives=(Supervised(), consistency),
                augmentation=job,
                cache=cache,
                settings=replace(settings, samples=samples),
                out=runs[-1],
                frozen=frozen,
            )
    return runs
