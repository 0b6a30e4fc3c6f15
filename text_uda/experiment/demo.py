"""The demo: paraphrase real reviews, train several methods on the same labels, and compare; minutes on a CPU."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from text_uda.augment import BackTranslation, SwitchOut
from text_uda.data import Split, load, split
from text_uda.errors import MissingPartError, SettingsError
from text_uda.experiment.sizes import CONSISTENCY, SETTINGS
from text_uda.model.cuda import default_device
from text_uda.model.frozen_encoder import encoder_of
from text_uda.model.pretrained import load_classifier
from text_uda.objectives import PRESETS, UDA, Supervised
from text_uda.paraphrasing.cache_access import paraphrase
from text_uda.progress import followed
from text_uda.report import read
from text_uda.training.train_classifier import train
from translation_cache import Cache, Job
from translation_cache.atomic import PREFIX

DATA = "movie-snippets"
LABELS = 100
SEEDS = (0, 1, 2)
WIDTH = 100  # of the table, in characters
WHERE_IT_HELPS = (
    "An interval that contains 0 shows no difference. These reviews gain little from paraphrases; definitions in six\n"
    "classes with 24 labels gain much: text-uda ablate table2 --data wordnet-6 --fill --out wordnet-6"
)


def run_demo(out: Path) -> dict[str, Any]:
    """Run the demo in the folder `out`; rerunning resumes. Prints the table and the path of the report.

    Returns:
        table (Markdown), report (path), runs (paths), cache (path).
    Raises:
        SettingsError: the folder holds something else.
    """
    names = {path.name for path in out.iterdir() if not path.name.startswith(PREFIX)} if out.exists() else set()
    if others := names - {"cache", "runs", "report.html"}:
        raise SettingsError(f"{out} holds files of something else ({min(others)}); name an empty folder for the demo")
    corpus = load(DATA)
    print(f"{corpus.name}: {corpus.description}; {LABELS} with a label", flush=True)
    cache = Cache(out / "cache")
    fill((*corpus.train.texts, *corpus.unlabeled), cache)
    runs = train_all({seed: split(corpus, labels=LABELS, seed=seed) for seed in SEEDS}, cache, out / "runs")
    results = read(runs)
    page = results.page(out / "report.html")
    print(f"\n{results.terminal(WIDTH)}\n\n{textwrap.fill(' '.join(results.findings()), WIDTH)}")
    print(f"{WHERE_IT_HELPS}\n\nthe paraphrases: text-uda cache show {cache}\nthe report: {page}")
    return {
        "table": results.markdown(),
        "report": str(page),
        "runs": [str(path) for path in runs],
        "cache": str(cache),
    }


def augmentations() -> dict[str, tuple[Job, int]]:
    """(augmentation, samples) by name. Prints a note where back-translation is not available."""
    available: dict[str, tuple[Job, int]] = {"switchout": (SwitchOut(tokenizer=SETTINGS.encoder), 2)}
    try:
        back_translation = BackTranslation(translator="apertium:eng-spa")
        back_translation.settings()  # fails where Apertium is missing
        available["back-translation"] = (back_translation, 1)
    except MissingPartError as error:
        print(f"without back-translation: {error}", flush=True)
    return available


def fill(texts: Sequence[str], cache: Cache) -> None:
    """Paraphrase the texts with each augmentation."""
    for name, (augmentation, samples) in augmentations().items():
        with followed(f"paraphrase ({name})", "rows") as on_progress:
            paraphrase(texts, augmentation, cache, samples=samples, progress=on_progress)


def train_all(splits: Mapping[int, Split], cache: Cache, out: Path, *, consistency: UDA = CONSISTENCY) -> list[Path]:
    """Fit the baselines, and train on the labels alone and with each augmentation, for each seed and its split.

    Returns:
        the run directories.
    """
    classes = next(iter(splits.values())).classes
    pretrained = load_classifier(SETTINGS.encoder, classes, seed=0)
    model: Any = pretrained.model  # `to` is a wrapped method
    frozen = encoder_of(model.to(default_device()), pretrained.tokenizer, SETTINGS)
    runs = []
    for seed, part in splits.items():
        settings = replace(SETTINGS, seed=seed)
        for name in ("logistic-regression", "self-training"):
            runs.append(out / f"{name}-{seed}")
            train(part, objectives=PRESETS[name].objectives, settings=settings, out=runs[-1], frozen=frozen)
        runs.append(out / f"none-{seed}")
        train(part, objectives=(Supervised(),), settings=settings, out=runs[-1], frozen=frozen)
        for name, (augmentation, samples) in augmentations().items():
            runs.append(out / f"{name}-{seed}")
            train(
                part,
                objectives=(Supervised(), consistency),
                augmentation=augmentation,
                cache=cache,
                settings=replace(settings, samples=samples),
                out=runs[-1],
                frozen=frozen,
            )
    return runs
