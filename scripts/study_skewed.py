"""Consistency on skewed classes: distribution alignment with each prior, and without alignment.

    python scripts/study_skewed.py --out skewed          about 10 minutes on 2 cores; rerunning resumes

`wordnet-6` reduced to 74/9/4/4/4/4%, a head on the frozen packaged encoder, SwitchOut. The labels are drawn in the
proportions of the classes, as in practice, and balanced, as in benchmarks, where the labels do not show the prior and
the user has to give it. The table has the errors and warnings of each method.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean

from text_uda import AdaMatch, FreeMatch, LogisticRegression, SoftMatch, Supervised, load
from text_uda.augment import SwitchOut
from text_uda.experiment import Trial, run_study, write_report
from text_uda.experiment.sizes import CONSISTENCY, SETTINGS
from text_uda.keyed_random import keyed_seed
from translation_cache.atomic import whole_file

SHARES = {"person": 0.74, "plant": 0.09, "animal": 0.0425, "location": 0.0425, "food": 0.0425, "body": 0.0425}
PRIOR = tuple(SHARES[name] for name in sorted(SHARES))  # in the order of a file's classes


def write_data(path: Path) -> None:
    """Of each class, the texts with the smallest hashes, as many as its share requires."""
    corpus = load("wordnet-6")
    rows = [
        (corpus.classes[label], text)
        for side in (corpus.train, corpus.test)
        for text, label in zip(side.texts, side.labels, strict=True)
    ]
    most = sum(name == "person" for name, _ in rows) / SHARES["person"]
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        for kind, share in SHARES.items():
            texts = sorted((text for name, text in rows if name == kind), key=lambda text: keyed_seed("skewed", text))
            for text in texts[: round(share * most)]:
                file.write(json.dumps({"text": text, "label": kind}, ensure_ascii=False) + "\n")


def trials(labels: int, seeds: int) -> Iterator[Trial]:
    switchout = SwitchOut(tokenizer=SETTINGS.encoder)
    methods = {
        "uda-no-alignment": replace(CONSISTENCY, alignment=None),
        "uda-uniform": replace(CONSISTENCY, alignment="uniform"),
        "uda-labels": replace(CONSISTENCY, alignment="labels"),
        "uda-given": replace(CONSISTENCY, alignment=PRIOR),
        "adamatch": AdaMatch(),
        "adamatch-given": AdaMatch(alignment=PRIOR),
        "freematch": FreeMatch(),
        "freematch-given": FreeMatch(prior=PRIOR),
        "softmatch": SoftMatch(),
        "softmatch-given": SoftMatch(alignment=PRIOR),
    }
    for seed in range(seeds):
        settings = replace(SETTINGS, seed=seed)
        for sampling in ("proportional", "balanced"):
            named = {"labels": labels, "settings": settings, "label_sampling": sampling}
            yield Trial(name=f"{sampling}-logistic-regression", objectives=(LogisticRegression(),), **named)
            yield Trial(name=f"{sampling}-none", **named)
            for name, objective in methods.items():
                losses = (Supervised(), objective)
                yield Trial(name=f"{sampling}-{name}", objectives=losses, augmentation=switchout, **named)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the data, cache and runs")
    parser.add_argument("--labels", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    data = arguments.out / "skewed.jsonl"
    if not data.exists():
        write_data(data)
    selected = list(trials(arguments.labels, arguments.seeds))
    outcome = run_study(selected, {"source": str(data)}, out=arguments.out / "study", fill=True)
    write_report(outcome, arguments.out / "study")
    for name, error in outcome.failed.items():
        print(f"failed: {name}: {error}", file=sys.stderr)
    if outcome.failed:
        sys.exit("run the same command again: it runs the failed runs alone, and prints the table")
    print("| method | test error, last step | balanced error | dev error | runs with a warning |")
    print("| --- | --- | --- | --- | --- |")
    for name in dict.fromkeys(trial.name for trial in selected):
        results = [
            json.loads((path / "result.json").read_text("utf-8"))
            for path in outcome.finished
            if path.name.rsplit("-seed-", 1)[0] == name
        ]
        if results:
            figures = (
                mean(result[key] for result in results) for key in ("last_test_error", "last_test_balanced_error")
            )
            dev = mean(result["dev_error"] for result in results)
            warned = sum(bool(result["warnings"]) for result in results)
            print(
                f"| {name} | {' | '.join(f'{value:.1f}' for value in figures)} | {dev:.1f} | {warned}/{len(results)} |"
            )


if __name__ == "__main__":
    main()
