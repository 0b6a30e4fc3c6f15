"""Yelp-5 with few labels and with all, as in Xie et al. 2019 (arXiv 1904.12848), from downloading to the table.

    python scripts/yelp5_table2.py --estimate                what it will cost, from a measured minute
    python scripts/yelp5_table2.py --out yelp5               as many runs side by side as there are GPUs; again: goes on
    python scripts/yelp5_table2.py --out yelp5 --shard 2 8   on the second of eight machines that share the folder; it
                                                             names the commands that make the paraphrases first

BERT-base, the settings of the paper where it has them (see `text_uda.experiment.sizes`). Beside each error stands the
paper's: of BERT-base with 2,500 labels, of a random start with 650,000, where it augments the labeled texts. This has
not been run yet: there was neither the data nor a GPU.
"""

import argparse
import sys
from pathlib import Path

from text_uda.data import load
from text_uda.experiment import STUDIES, run_study, setting, write_report
from text_uda.experiment.cost import estimate_cost
from text_uda.experiment.study import select_share
from text_uda.report import Report

DATA = {"source": "yelp-5"}
FEW = 2500
PAPER = {
    (True, "none"): 41.00,
    (True, "back-translation"): 33.80,
    (False, "none"): 38.36,
    (False, "switchout"): 37.24,
    (False, "back-translation"): 36.71,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("yelp5"), help="where caches, runs and the report are kept")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, help="runs side by side; a GPU each unless told")
    parser.add_argument("--shard", type=int, nargs=2, metavar=("I", "N"), help="only the I-th of N shares of the runs")
    parser.add_argument("--estimate", action="store_true", help="say what it will cost and do nothing else")
    arguments = parser.parse_args()
    corpus = load(**DATA)
    trials = list(STUDIES["table2"](setting(corpus, "paper", few=FEW, seeds=arguments.seeds)))
    shard = arguments.shard and (arguments.shard[0], arguments.shard[1])
    if arguments.estimate or not arguments.out.exists():
        print(estimate_cost(select_share(trials, shard), corpus, workers=arguments.workers), flush=True)
    if arguments.estimate:
        return
    outcome = run_study(trials, DATA, out=arguments.out, fill=shard is None, workers=arguments.workers, shard=shard)
    for name, why in outcome.failed.items():
        print(f"failed: {name}: {why}", file=sys.stderr)
    if outcome.elsewhere:
        print(f"{outcome.elsewhere} runs are left to other shares")
    if report := write_report(outcome, arguments.out):
        _say(report)
    sys.exit(bool(outcome.failed))


def _say(report: Report) -> None:
    print(report.markdown())
    print("\n| labels | method | test error % | in the paper |\n| --- | --- | --- | --- |")
    for comparison in report.comparisons:
        labels = comparison.config["labels"]
        for group in comparison.groups:
            error, published = group.estimate("test_error"), PAPER.get((labels == FEW, group.method), "–")
            print(f"| {labels:,} | {group.method} | {error.text() if error else '–'} | {published} |")


if __name__ == "__main__":
    main()
