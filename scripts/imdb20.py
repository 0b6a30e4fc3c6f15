"""IMDb with 20 labels, as in Xie et al. 2019 (arXiv 1904.12848, Table 4), from downloading to the table.

    python scripts/imdb20.py --out imdb20                    as many runs side by side as there are GPUs; again: goes on
    python scripts/imdb20.py --out imdb20 --pretrain 20000   first so many steps of predicting masked words of IMDb

BERT-base with labels alone and with back-translation; the steps, the warm-up, the rate and the three unlabeled texts
for each labeled one are those of the authors' scripts. Beside each error stands the paper's, of BERT-base, or, with
pretraining, of its BERT-large that was. This has not been run yet: there was neither the data nor a GPU.
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
    parser.add_argument("--out", type=Path, default=Path("imdb20"), help="where caches, runs and the report are kept")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, help="runs side by side; a GPU each unless told")
    parser.add_argument("--pretrain", type=int, metavar="STEPS", help="steps of pretraining on the texts, first")
    arguments = parser.parse_args()
    corpus = load(**DATA)
    common = setting(corpus, "paper", few=LABELS, seeds=arguments.seeds)
    settings = replace(common.settings, unlabeled_ratio=3)
    if arguments.pretrain:
        encoder = arguments.out / "pretrained"
        steps = PretrainSettings(encoder=settings.encoder, steps=arguments.pretrain, max_tokens=settings.max_tokens)
        pretrain(corpus.training_texts(), settings=steps, out=encoder)
        settings = replace(settings, encoder=str(encoder))
    ways = {"none": None, "back-translation": common.back_translation}
    trials = [trial for name, job in ways.items() for trial in common.trials(name, augmentation=job, settings=settings)]
    study = arguments.out / "study"
    outcome = run_study(trials, DATA, out=study, fill=True, workers=arguments.workers)
    for name, why in outcome.failed.items():
        print(f"failed: {name}: {why}", file=sys.stderr)
    if report := write_report(outcome, study):
        _say(report, PAPER[bool(arguments.pretrain)])
    sys.exit(bool(outcome.failed))


def _say(report: Report, paper: dict[str, float]) -> None:
    print(report.markdown())
    print("\n| method | test error % | in the paper |\n| --- | --- | --- |")
    for group in (group for comparison in report.comparisons for group in comparison.groups):
        error, published = group.estimate("test_error"), paper.get(group.method, "–")
        print(f"| {group.method} | {error.text() if error else '–'} | {published} |")


if __name__ == "__main__":
    main()
