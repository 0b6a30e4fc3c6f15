"""IMDb with 20 labels, as in Xie et al. 2019 (arXiv 1904.12848, Table 4), from the download to the table.

    python scripts/imdb20.py --out imdb20                    one run per GPU at a time; rerunning resumes
    python scripts/imdb20.py --out imdb20 --pretrain 20000   first 20,000 steps of masked language modeling on IMDb

BERT-base with labels alone and with back-translation; steps, warm-up, learning rate and three unlabeled texts per
labeled text as in the authors' scripts. The table compares each error with the paper's: of BERT-base, or, with
pretraining, of its pretrained BERT-large. Not run yet, for lack of the data and of a GPU.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from text_uda.data import load
from text_uda.experiment import run_study, setting, write_report
from text_uda.report import Report
from text_uda.training.pretraining import PretrainSettings, pretrain

DATA = {"source": "imdb"}
LABELS = 20
PAPER = {False: {"none": 18.40, "back-translation": 5.45}, True: {"none": 6.50, "back-translation": 4.20}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("imdb20"), help="folder of caches, runs and the report")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, help="runs at a time (default: one per GPU)")
    parser.add_argument(
        "--pretrain", type=int, metavar="STEPS", help="steps of pretraining on the texts before the study"
    )
    arguments = parser.parse_args()
    corpus = load(**DATA)
    common = setting(corpus, "paper", few=LABELS, seeds=arguments.seeds)
    settings = replace(common.settings, unlabeled_ratio=3)
    if arguments.pretrain:
        encoder = arguments.out / "pretrained"
        steps = PretrainSettings(encoder=settings.encoder, steps=arguments.pretrain, max_tokens=settings.max_tokens)
        pretrain(corpus.training_texts(), settings=steps, out=encoder)
        settings = replace(settings, encoder=str(encoder))
    trials = [
        trial
        for name, augmentation in {"none": None, **common.back_translations}.items()
        for trial in common.trials(name, augmentation=augmentation, settings=settings)
    ]
    study = arguments.out / "study"
    outcome = run_study(trials, DATA, out=study, fill=True, workers=arguments.workers)
    for name, error in outcome.failed.items():
        print(f"failed: {name}: {error}", file=sys.stderr)
    if report := write_report(outcome, study):
        _print(report, PAPER[bool(arguments.pretrain)])
    sys.exit(bool(outcome.failed))


def _print(report: Report, paper: dict[str, float]) -> None:
    print(report.markdown())
    print("\n| method | test error % | in the paper |\n| --- | --- | --- |")
    for group in (group for comparison in report.comparisons for group in comparison.groups):
        error, published = group.estimate("test_error"), paper.get(group.method, "–")
        print(f"| {group.method} | {error.text() if error else '–'} | {published} |")


if __name__ == "__main__":
    main()
