"""Each objective beside the labels alone: test error of the weights that the development split chose, over seeds.

    python scripts/study_objectives.py --out study            about 25 minutes on 2 cores; begun again it goes on
    python scripts/study_objectives.py --out study --data wordnet-14 --objectives supervised fixmatch --tune last:2

wordnet-14 with 10 labels a class and movie-snippets with 50, up to 14,000 texts of each, a head on the frozen packaged
encoder unless --tune says otherwise. The second view of the unlabeled texts is SwitchOut's, from a cache, for every
method that reads one. Each method has the settings of its preset.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

from text_uda import demo
from text_uda.augment import SwitchOut
from text_uda.data import load, split
from text_uda.objectives import PRESETS, all_needs
from text_uda.paraphrase import paraphrase
from text_uda.pretrained import load_classifier
from text_uda.progress import followed
from text_uda.report import markdown_table
from text_uda.rows import FrozenEncoder
from text_uda.train import train
from translation_cache import Cache

LABELS = {"wordnet-14": 140, "movie-snippets": 100}
LIMIT = 14_000  # texts of a data set, so that encoding them is not most of the time
SAMPLES = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where caches and runs are kept")
    parser.add_argument("--data", nargs="+", choices=LABELS, default=list(LABELS))
    parser.add_argument("--objectives", nargs="+", choices=PRESETS, default=list(PRESETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tune", default="head", help="head, last:N or all")
    parser.add_argument("--steps", type=int, default=demo.SETTINGS.steps)
    arguments = parser.parse_args()
    for data in arguments.data:
        started = time.monotonic()
        runs = train_all(data, arguments.objectives, arguments.seeds, arguments.tune, arguments.steps, arguments.out)
        minutes = (time.monotonic() - started) / 60
        print(f"\n{markdown_table(runs)}\n{data}: {len(runs)} runs, {minutes:.1f} minutes", flush=True)


def train_all(data: str, objectives: list[str], seeds: int, tune: str, steps: int, out: Path) -> list[Path]:
    """One run for each objective and seed; those that are finished are only read. The run directories."""
    corpus = load(data, limit=LIMIT)
    cache, augmentation = Cache(out / "cache"), SwitchOut(tokenizer=demo.SETTINGS.encoder)
    with followed("paraphrase", "rows") as on_progress:
        texts = (*corpus.train.texts, *corpus.unlabeled)
        paraphrase(texts, augmentation, cache, samples=SAMPLES, progress=on_progress)
    settings = replace(demo.SETTINGS, tune=tune, steps=steps, learning_rate=3e-3 if tune == "head" else 1e-4)
    pretrained = load_classifier(demo.SETTINGS.encoder, corpus.classes, seed=0)
    frozen = FrozenEncoder(pretrained.model, pretrained.tokenizer, max_tokens=settings.max_tokens)
    runs = []
    for seed in range(seeds):
        part = split(corpus, labels=LABELS[data], seed=seed)
        for name in objectives:
            preset = PRESETS[name]
            paired = all_needs(preset.objectives).second_view
            runs.append(out / f"{data}-{tune.replace(':', '-')}" / f"{name}-{seed}")
            train(
                part,
                objectives=preset.objectives,
                averaging=preset.averaging,
                augmentation=augmentation if paired else None,
                cache=cache if paired else None,
                settings=replace(settings, seed=seed, samples=SAMPLES if paired else 1),
                out=runs[-1],
                frozen=frozen if tune == "head" else None,
            )
    return runs


if __name__ == "__main__":
    main()
