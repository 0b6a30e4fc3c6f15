"""The study that selected the settings of the demo: development error of each setting and method, over seeds.

    python scripts/study_demo.py --out study            about 20 minutes on 2 cores; rerunning resumes
    python scripts/study_demo.py --out study --data wordnet-6 --labels 24 60

The demo (text_uda/experiment/demo.py) has the first setting below. The table shows the test error too, which selected
nothing.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from text_uda.data import load, split
from text_uda.experiment import demo
from text_uda.objectives import UDA
from text_uda.report import markdown_table
from translation_cache import Cache

CONSISTENCY = {
    "demo": demo.CONSISTENCY,
    "plain": UDA(),
    "strict": replace(demo.CONSISTENCY, temperature=0.4, confidence_threshold=0.95, ramp_up=0.5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the caches and runs")
    parser.add_argument("--data", default=demo.DATA)
    parser.add_argument("--labels", type=int, nargs="+", default=[demo.LABELS])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", type=int, help="number of texts of the data set")
    parser.add_argument("--settings", nargs="+", choices=CONSISTENCY, default=["demo"])
    arguments = parser.parse_args()
    corpus = load(arguments.data, limit=arguments.limit)
    cache = Cache(arguments.out / "cache")
    demo.fill((*corpus.train.texts, *corpus.unlabeled), cache)
    for labels in arguments.labels:
        splits = {seed: split(corpus, labels=labels, seed=seed) for seed in range(arguments.seeds)}
        for name in arguments.settings:
            out = arguments.out / f"{arguments.data}-{labels}-{name}"
            runs = demo.train_all(splits, cache, out, consistency=CONSISTENCY[name])
            print(f"\n{arguments.data}, {labels} labels, {name}:\n{markdown_table(runs)}", flush=True)


if __name__ == "__main__":
    main()
