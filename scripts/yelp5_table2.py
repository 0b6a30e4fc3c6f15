"""Yelp-5 with few labels and with all, as in Xie et al. 2019 (arXiv 1904.12848), from the download to the table.

    python scripts/yelp5_table2.py --estimate                estimate the cost from a measured minute
    python scripts/yelp5_table2.py --out yelp5               one run per GPU at a time; rerunning resumes
    python scripts/yelp5_table2.py --out yelp5 --shard 2 8   the second of eight machines that share the folder; it
                                                             names the commands that make the paraphrases first

BERT-base with the settings of the paper, as far as it gives them (see `text_uda.experiment.sizes`). The table compares
each error with the paper's: of BERT-base with 2,500 labels, and of random initialization with 650,000 labels, where the
paper augments the labeled texts. Not run yet, for lack of the data and of a GPU.
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
    parser.add_argument("--out", type=Path, default=Path("yelp5"), help="folder of caches, runs and the report")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, help="runs at a time (default: one per GPU)")
    parser.add_argument("--shard", type=int, nargs=2, metavar=("I", "N"), help="only the I-th of N shares of the runs")
    parser.add_argument("--estimate", action="store_true", help="estimate the cost and exit")
    arguments = parser.parse_args()
    corpus = load(**DATA)
    trials = list(STUDIES["table2"](setting(corpus, "paper", few=FEW, seeds=arguments.seeds)))
    shard = arguments.shard and (arguments.shard[0], arguments.shard[1])
    if arguments.estimate or not arguments.out.exists():
        print(estimate_cost(select_share(trials, shard), corpus, workers=arguments.workers), flush=True)
    if arguments.estimate:
        return
    outcome = run_study(trials, DATA, out=arguments.out, fill=shard is None, workers=arguments.workers, shard=shard)
    for name, error in outcome.failed.items():
        print(f"failed: {name}: {error}", file=sys.stderr)
    if outcome.elsewhere:
        print(f"{outcome.elsewhere} runs of other shares are not finished")
    if report := write_report(outcome, arguments.out):
        _print(report)
    sys.exit(bool(outcome.failed))


def _print(report: Report) -> None:
    print(report.markdown())
    print("\n| labels | method | test error % | in the paper |\n| --- | --- | --- | --- |")
    for comparison in report.comparisons:
        labels = comparison.config["labels"]
        for group in comparison.groups:
            error, published = group.estimate("test_error"), PAPER.get((labels == FEW, group.method), "–")
            print(f"| {labels:,} | {group.method} | {error.text() if error else '–'} | {published} |")


if __name__ == "__main__":
    main()
