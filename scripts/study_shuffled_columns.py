"""What useless columns cost: each fusion on rows whose columns are those of other rows, against the text alone.

    python scripts/study_shuffled_columns.py --labels 140 1400 --json       some minutes on one core

Columns of an embedded data set are dealt anew over all its rows, by a fixed seed; a head on the packaged encoder is
trained on labels alone, for each seed on the same rows. Prints the test error of the text, and for each fusion the
difference with a 95% interval over the seeds (Student's t).
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from text_uda.data import Corpus, load, split
from text_uda.data.named import COLUMNS
from text_uda.data.row_columns import RowText
from text_uda.experiment.sizes import SETTINGS
from text_uda.fusion import Early, Fusion, Intermediate, Late, TextAlone
from text_uda.keyed_random import keyed_generator
from text_uda.model.cuda import default_device
from text_uda.model.feature_store import features_folder
from text_uda.model.frozen_encoder import FrozenEncoder
from text_uda.model.pretrained import load_classifier
from text_uda.objectives import Supervised
from text_uda.report.seed_statistics import estimate
from text_uda.training.train_classifier import train

FUSIONS: Mapping[str, Fusion | TextAlone] = {
    fusion.name: fusion for fusion in (TextAlone(), Early(), Intermediate(), Late())
}


def shuffled(corpus: Corpus) -> Corpus:
    """The corpus with the columns of each row on another one."""
    rows = [row for row in corpus.all_texts() if isinstance(row, RowText)]
    order = keyed_generator("shuffled columns").permutation(len(rows)).tolist()
    dealt = iter([rows[place].values for place in order])

    def texts(these: Sequence[str]) -> tuple[str, ...]:
        return tuple(RowText(str(row), row.columns, next(dealt)) for row in these if isinstance(row, RowText))

    sides = {
        side: replace(part, texts=texts(part.texts)) for side in ("train", "test") for part in [getattr(corpus, side)]
    }
    return replace(corpus, **sides, unlabeled=texts(corpus.unlabeled))


def compare(options: argparse.Namespace, runs: Path) -> dict[str, Any]:
    kinds: dict[str, Any] = {kind: tuple(names) for kind, names in COLUMNS[options.data].record().items()}
    corpus = shuffled(load(options.data, limit=14_000, **kinds))
    pretrained = load_classifier(SETTINGS.encoder, corpus.classes, seed=0)
    model: Any = pretrained.model  # `to` is a wrapped method
    encoder = FrozenEncoder(
        model.to(default_device()), pretrained.tokenizer, max_tokens=SETTINGS.max_tokens, folder=features_folder()
    )
    record: dict[str, Any] = {}
    for labels in options.labels:
        errors: dict[str, list[float]] = {name: [] for name in FUSIONS}
        for seed in range(options.seeds):
            rows = split(corpus, labels=labels, seed=seed)
            for name, fusion in FUSIONS.items():
                settings, out = replace(SETTINGS, seed=seed), runs / f"{name}-{labels}-{seed}"
                method = {"objectives": (Supervised(),), "fusion": fusion, "frozen": encoder}
                errors[name].append(train(rows, settings=settings, out=out, **method)["test_error"])
                print(f"{labels} labels, seed {seed}, {name}: {errors[name][-1]:.2f}", file=sys.stderr)
        text = errors.pop("text")
        changes = {name: [a - b for a, b in zip(of, text, strict=True)] for name, of in errors.items()}
        words = {name: change.text(sign=True) for name, of in changes.items() if (change := estimate(of))}
        record[str(labels)] = {"text": round(sum(text) / len(text), 2), "changes": changes, "words": words}
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=COLUMNS, default="wordnet-14")
    parser.add_argument("--labels", type=int, nargs="+", default=[140, 1400])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        record = compare(options, Path(folder))
    print(json.dumps(record) if options.json else json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
