"""The whole way on real reviews, on a CPU, in minutes: paraphrase, train three ways on the same labels, compare.

The setting was chosen by the development split; `scripts/study_demo.py` is that choice, to be run again.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from text_uda.augment import BackTranslation, SwitchOut
from text_uda.data import Split, load, split
from text_uda.errors import MissingPartError
from text_uda.model import load_classifier
from text_uda.objectives import UDA, Supervised
from text_uda.paraphrase import paraphrase
from text_uda.progress import followed
from text_uda.report import build, markdown_table
from text_uda.rows import FrozenEncoder
from text_uda.settings import TrainSettings
from text_uda.train import train
from translation_cache import Cache, Job

DATA = "movie-snippets"
ENCODER = "minilm-l6"
LABELS = 100
SAMPLES = 2
SEEDS = (0, 1, 2)
CONSISTENCY = UDA(temperature=0.5, confidence_threshold=0.8, ramp_up=0.3, distribution_alignment=True)
SETTINGS = TrainSettings(
    encoder=ENCODER,
    tune="head",  # on a frozen encoder: each text is encoded once for all runs
    steps=800,
    labeled_batch=8,
    unlabeled_ratio=7,
    learning_rate=3e-3,
    max_tokens=128,
)


def methods() -> dict[str, tuple[Job | None, int]]:
    """What is compared: the augmentation of the unlabeled texts, and how many samples of each."""
    found: dict[str, tuple[Job | None, int]] = {"none": (None, 1), "switchout": (SwitchOut(tokenizer=ENCODER), SAMPLES)}
    try:
        job = BackTranslation(translator="apertium:eng-spa")
        job.settings()
        found["back-translation"] = (job, 1)
    except MissingPartError as error:
        print(f"without back-translation: {error}")
    return found


def run(out: Path) -> dict[str, Any]:
    """Everything into the folder `out`; begun again it goes on where it was. Prints the table and where the report is.

    Returns:
        table (Markdown), report (path), runs (paths), cache (path).
    """
    cache = Cache(out / "cache")
    corpus = load(DATA)
    print(f"{corpus.name}: {corpus.description}; {LABELS} of them with a label")
    for name, (job, samples) in methods().items():
        if job is not None:
            fill(name, (*corpus.train.texts, *corpus.unlabeled), job, cache, samples)
    runs = study([split(corpus, labels=LABELS, seed=seed) for seed in SEEDS], cache, out / "runs")
    report = build(runs, out / "report.html")
    table = markdown_table(runs)
    print(f"\n{table}\n")
    print(f"the report: {report}\nthe paraphrases: text-uda cache show {cache.path}")
    return {"table": table, "report": str(report), "runs": [str(path) for path in runs], "cache": str(cache.path)}


def fill(name: str, texts: Sequence[str], job: Job, cache: Cache, samples: int) -> None:
    """Paraphrase the texts, with a bar."""
    with followed(f"paraphrase ({name})", "rows") as on_progress:
        paraphrase(texts, job, cache, samples=samples, progress=on_progress)


def study(splits: Sequence[Split], cache: Cache, out: Path) -> list[Path]:
    """Train each method on each split; the same labels for all methods of a seed. The run directories."""
    pretrained = load_classifier(ENCODER, splits[0].classes, seed=0)
    frozen = FrozenEncoder(pretrained.model, pretrained.tokenizer, max_tokens=SETTINGS.max_tokens)
    runs = []
    for seed, part in zip(SEEDS, splits, strict=True):
        for name, (job, samples) in methods().items():
            path = out / f"{name}-{seed}"
            train(
                part,
                objectives=(Supervised(), CONSISTENCY) if job else (Supervised(),),
                augmentation=job,
                cache=cache,
                settings=replace(SETTINGS, seed=seed, samples=samples),
                out=path,
                frozen=frozen,
            )
            runs.append(path)
    return runs
