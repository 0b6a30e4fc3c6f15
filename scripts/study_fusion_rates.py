"""Does a fusion of text and columns depend on the learning rate of the weights that join them?

    python scripts/study_fusion_rates.py --data films --labels 600 --out rates

Heads on the packaged encoder, by labels alone: the text, the columns, and each fusion at each rate, over several seeds.
Prints a line for each run and then the mean test errors: at each rate, and at the rate that the development rows of
each seed pick. A rerun goes on after the finished runs.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

from scipy.stats import t as student
from scipy.stats import tstd

from text_uda import Supervised, load, split, train
from text_uda.data.named import COLUMNS
from text_uda.experiment.sizes import SETTINGS
from text_uda.fusion import ColumnsAlone, Early, Intermediate, Late, TextAlone
from text_uda.model.frozen_encoder import encoder_of
from text_uda.model.pretrained import load_classifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=COLUMNS, default="films")
    parser.add_argument("--labels", type=int, required=True)
    parser.add_argument("--rates", type=float, nargs="+", default=(2e-4, 1e-3, 3e-3))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    columns = {kind: tuple(names) for kind, names in COLUMNS[options.data].record().items() if names}
    corpus = load(options.data, limit=14_000, **columns)
    pretrained = load_classifier(SETTINGS.encoder, corpus.classes, seed=0)
    frozen = encoder_of(pretrained.model, pretrained.tokenizer, SETTINGS)
    fusions = [kind(learning_rate=rate) for kind in (Early, Intermediate, Late) for rate in options.rates]
    errors: dict[str, dict[float, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for seed in range(options.seeds):
        rows = split(corpus, labels=options.labels, seed=seed)
        for mode in (TextAlone(), ColumnsAlone(), *fusions):
            rate = getattr(mode, "learning_rate", 0.0)
            result = train(
                rows,
                objectives=(Supervised(),),
                settings=replace(SETTINGS, seed=seed),
                fusion=mode,
                out=options.out / f"{mode.name}-{rate:g}-seed-{seed}",
                frozen=frozen,
            )
            errors[mode.name][rate].append((result["dev_error"], result["test_error"]))
            print(
                json.dumps({"seed": seed, "mode": mode.name, "rate": rate, "error": result["test_error"]}), flush=True
            )
    [text], [alone] = errors["text"].values(), errors["columns"].values()
    for mode, of_rate in errors.items():
        for rate, pairs in of_rate.items():
            print(mode, f"{rate:g}", _line(pairs, text, alone))
        if len(of_rate) > 1:
            picked = [min(pairs, key=lambda pair: pair[0]) for pairs in zip(*of_rate.values(), strict=True)]
            print(mode, "rate of the development rows", _line(picked, text, alone))


def _line(pairs: Sequence[tuple[float, float]], *references: Sequence[tuple[float, float]]) -> str:
    """The mean test error of (development, test) errors by seed, and the paired differences to the references."""
    vs_text, vs_columns = (
        _interval([ours - theirs for (_, ours), (_, theirs) in zip(pairs, other, strict=True)]) for other in references
    )
    return f"{mean(error for _, error in pairs):.1f}, vs text {vs_text}, vs columns {vs_columns}"


def _interval(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{mean(values):+.1f}"
    return f"{mean(values):+.1f} ± {student.ppf(0.975, len(values) - 1) * tstd(values) / len(values) ** 0.5:.1f}"


if __name__ == "__main__":
    main()
