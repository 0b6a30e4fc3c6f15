"""Does it lower the error to leave out paraphrases whose meaning differs from that of their source?

    python scripts/study_similarity.py --out similarity          half an hour on one busy thread; rerunning resumes

UDA with a head on the frozen packaged encoder, with synonyms and with back-translation by Apertium. The paraphrases are
filtered by `Filters.min_similarity`, at fixed bounds and at quantiles of the similarities of the method. The table has
the change of the test error against no filter, paired by seed, with Student's 95% interval.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from text_uda import Supervised, load, paraphrase
from text_uda.augment import BackTranslation, Synonym
from text_uda.experiment import Trial, run_study, write_report
from text_uda.experiment.sizes import CONSISTENCY, SETTINGS
from text_uda.paraphrasing.cache_access import read_paraphrases
from text_uda.paraphrasing.cached import Cached
from text_uda.paraphrasing.filters import Filters
from text_uda.report.seed_statistics import estimate
from translation_cache import Job

METHODS = {"synonym": Synonym(), "back-translation": BackTranslation(translator="apertium:eng-spa")}
BOUNDS = (0.7, 0.8, 0.9)
QUANTILES = (0.5,)
LABELS = {"wordnet-14": 140, "movie-snippets": 100}
STEPS = 400
TEXTS = 3_000  # of a data set, training side


def bounds_of(method: Job, texts: Any, cache: Path) -> dict[str, float | None]:
    """The bounds by name; the shares of usable paraphrases that they leave out are printed."""
    read = read_paraphrases(texts, method, cache, filters=Filters(min_similarity=-1))
    similarities = np.array([sample.scores["similarity"] for [sample] in read if "similarity" in sample.scores])
    bounds = {"off": None} | {f"{bound:g}": bound for bound in BOUNDS}
    bounds |= {f"quantile-{share:g}": float(np.quantile(similarities, share)) for share in QUANTILES}
    for name, bound in bounds.items():
        if bound is not None:
            print(f"{name}: below {bound:.3f} are {np.mean(similarities < bound):.1%} of {len(similarities):,}")
    return bounds


def trials(data: str, base: Path, texts: Any, seeds: int) -> Iterator[Trial]:
    for kind, method in METHODS.items():
        print(f"{data}, {kind}")
        for name, bound in bounds_of(method, texts, base).items():
            filters = None if bound is None else Filters(min_similarity=bound)
            for seed in range(seeds):
                yield Trial(
                    name=f"{kind}-{name}",
                    labels=LABELS[data],
                    settings=replace(
                        SETTINGS, seed=seed, steps=STEPS, max_tokens=256
                    ),  # the features that the similarity reads
                    objectives=(Supervised(), CONSISTENCY),
                    augmentation=Cached(method, base, filters),
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the caches and runs")
    parser.add_argument("--data", nargs="+", default=list(LABELS), choices=list(LABELS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, help="processes; one per core by default")
    arguments = parser.parse_args()
    for data in arguments.data:
        source = {"source": data, "limit": TEXTS}
        texts, base = load(**source).train.texts, arguments.out / data / "paraphrases"
        for method in METHODS.values():
            paraphrase(texts, method, base)
        selected = list(trials(data, base, texts, arguments.seeds))
        study = arguments.out / data / "study"
        outcome = run_study(selected, source, out=study, fill=True, workers=arguments.workers, keep_models=False)
        write_report(outcome, study)
        for name, error in outcome.failed.items():
            print(f"failed: {name}: {error}", file=sys.stderr)
        if outcome.failed:
            sys.exit("run the same command again: it runs the failed runs alone, and prints the table")
        _print_table({path.name: json.loads((path / "result.json").read_text("utf-8")) for path in outcome.finished})


def _print_table(results: dict[str, dict[str, Any]]) -> None:
    error_of = {tuple(name.rsplit("-seed-", 1)): result["test_error"] for name, result in results.items()}
    print("| paraphrases | test error | against no filter, 95% interval | seeds |")
    print("| --- | --- | --- | --- |")
    for name in dict.fromkeys(name for name, _ in error_of):
        seeds = [seed for other, seed in error_of if other == name]
        base = next(f"{kind}-off" for kind in METHODS if name.startswith(kind))
        errors = np.array([error_of[name, seed] for seed in seeds])
        changes = errors - np.array([error_of[base, seed] for seed in seeds])
        change = estimate(changes.tolist())
        assert change is not None
        print(f"| {name} | {errors.mean():.2f} | {change.text(2, sign=True)} | {len(seeds)} |")


if __name__ == "__main__":
    main()
