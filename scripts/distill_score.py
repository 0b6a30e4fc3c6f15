"""BLEU and chrF of distilled translators against their teacher on held-out sentences, and round trips to read.

    pip install sacrebleu          # 2.6
    python scripts/distill_score.py --pairs pairs --models models

The sentences are those of test rows, by data set, of folders that distill_pairs.py and distill_translator.py have made.
The way back is scored on the teacher's translations. The round trips are the first ones, not chosen.
"""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from text_uda.errors import DataError, MissingPartError, SettingsError, UserError
from text_uda.translate.decoding import Decoding
from text_uda.translate.marian import Marian


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True, help="the folder with both directions")
    parser.add_argument("--sentences", type=int, default=300, help="of each data set at most (default: 300)")
    parser.add_argument("--beams", type=int, default=1, help="default: 1, greedy")
    parser.add_argument("--round-trips", type=int, default=20, help="default: 20")
    parser.add_argument("--json", action="store_true", help="print one object")
    try:
        score(parser.parse_args())
    except UserError as error:
        sys.exit(f"distill_score: {error}")


def score(options: argparse.Namespace) -> None:
    if options.sentences < 1 or options.round_trips < 0:
        raise SettingsError("--sentences is above 0, --round-trips at least 0")
    record = _record(options.pairs)
    there = record["pair"]
    try:
        from sacrebleu import corpus_bleu, corpus_chrf  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingPartError("BLEU and chrF need sacrebleu: pip install sacrebleu") from error
    models = [options.models / direction for direction in (there, "-".join(reversed(there.split("-"))))]
    forward, back = (Marian(str(model), Decoding(beams=options.beams)) for model in models)
    seen, rows = Counter[str](), []
    for row in pq.read_table(options.pairs / "pairs.parquet").to_pylist():
        if row["split"] == "test" and row["back"] is not None:
            seen[row["origin"]] += 1
            if seen[row["origin"]] <= options.sentences:
                rows.append(row)
    if not rows:
        raise DataError(f"{options.pairs} has no test sentences")
    figures = []
    for model, translator, source, target in (
        (models[0], forward, "source", "pivot"),
        (models[1], back, "pivot", "back"),
    ):
        translator([rows[0][source]], [0])  # opens the model
        started = time.monotonic()
        outputs = [translation.text for translation in translator([row[source] for row in rows], [0] * len(rows))]
        rate = len(rows) / (time.monotonic() - started)
        for origin in (*sorted(seen), "all"):
            chosen = [number for number, row in enumerate(rows) if origin in (row["origin"], "all")]
            ours, teachers = [outputs[number] for number in chosen], [rows[number][target] for number in chosen]
            figures.append({
                "model": model.name, "origin": origin, "sentences": len(chosen),
                "bleu": round(corpus_bleu(ours, [teachers]).score, 1),
                "chrf": round(corpus_chrf(ours, [teachers]).score, 1),
                "same": round(100 * sum(map(str.__eq__, ours, teachers)) / len(chosen), 1),
                "sentences_per_s": round(rate, 1),
            })  # fmt: skip
    first = rows[: options.round_trips]
    pivots = [translation.text for translation in forward([row["source"] for row in first], [0] * len(first))]
    returned = [translation.text for translation in back(pivots, [0] * len(first))]
    trips = [
        {"source": row["source"], "pivot": pivot, "back": text, "teacher": row["back"]}
        for row, pivot, text in zip(first, pivots, returned, strict=True)
    ]
    if options.json:
        print(json.dumps({"figures": figures, "round_trips": trips}, ensure_ascii=False))
        return
    print(f"Left out: {record['test sentences without a round trip']:,} of which the teacher makes no round trip.\n")
    print("| model | test sentences of | sentences | BLEU | chrF | same as the teacher's, % |")
    print("| --- | --- | --- | --- | --- | --- |")
    for line in figures:
        print("| " + " | ".join(str(line[k]) for k in ("model", "origin", "sentences", "bleu", "chrf", "same")) + " |")
    for trip in trips:
        print("", *(f"{name:>8}: {text}" for name, text in trip.items()), sep="\n")


def _record(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "pairs.json").read_text("utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{folder} has no pairs.json: make it with distill_pairs.py") from error


if __name__ == "__main__":
    main()
