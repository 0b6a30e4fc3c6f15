"""Back-translate real sentences: what is usable, why the rest is rejected, how much it changes, and how fast.

    export OMP_NUM_THREADS=1
    python scripts/study_backtranslation.py            Apertium, which has one translation of a sentence
    python scripts/study_backtranslation.py --translator marian:models/eng-spa,models/spa-eng

The sentences are those of test rows, from each data set as many. A neural translator is run greedily, with beams, and
sampled at several temperatures, at one of them several times; and, with `marian:`, by each engine and precision.
All runs take turns over five parts of the sentences, in one process; rates are those of CPU time, filters included.
Engines are compared on a fifth of the sentences.
`similarity` is the cosine of the packaged encoder's features of sentence and paraphrase.
"""

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers.utils.logging import disable_progress_bar

from text_uda import BackTranslation, load, paraphrase
from text_uda.errors import DataError, SettingsError, UserError
from text_uda.paraphrasing.similarity import Similarity
from text_uda.text.sentences import split_sentences
from translation_cache import Cache, Paraphrase, lookup

PARTS = 5
DATA = ("movie-snippets", "product-snippets", "tweet-snippets", "news-snippets", "wordnet-14", "wordnet-6")
DECODINGS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beams 4": {"beams": 4},
    **{f"T = {value}": {"temperature": value} for value in (0.3, 0.6, 0.9, 1.2)},
    "T = 1, top-p 0.9": {"temperature": 1.0, "top_p": 0.9},
}
SEVERAL = "T = 0.9"  # the decoding that draws several samples
ENGINES = {
    "marian": ("float32", "bfloat16", "int8"),
    "ctranslate2": ("float32", "int8"),
}


@dataclass
class Run:
    """One way to translate all sentences."""

    job: BackTranslation
    samples: int = 1
    parts: int = 1
    """It takes one sentence of so many."""
    sources: list[str] = field(default_factory=list)
    paraphrases: list[list[Paraphrase | None]] = field(default_factory=list)
    """Those of each source."""
    cpu_seconds: float = 0.0

    def translate(self, sentences: list[str], folder: Path) -> None:
        sentences = sentences[:: self.parts]
        started = _cpu_seconds()
        paraphrase(sentences, self.job, folder, samples=self.samples)
        self.cpu_seconds += _cpu_seconds() - started
        self.paraphrases += lookup(Cache(folder), self.job.settings(), sentences, samples=self.samples)
        self.sources += sentences

    def record(self, name: str, similarity: Similarity) -> dict[str, Any]:
        by_source = zip(self.sources, self.paraphrases, strict=True)
        rows = [(source, every[0]) for source, every in by_source if every[0]]
        usable = [(source, one) for source, one in rows if one.status == "ok" and one.text is not None]
        reasons = Counter(one.status for _, one in rows if one.status != "ok")
        cosines = similarity.of([(source, one.text or "") for source, one in usable])
        return {
            "run": name, "rows": len(rows), "usable": len(usable) / len(rows),
            "rejected": {reason: count / len(rows) for reason, count in reasons.most_common()},
            "distinct": len({one.text for _, one in usable}) / max(1, len(usable)),
            "words_changed": _mean([one.scores["change_rate"] for _, one in usable]),
            "similarity": _mean(cosines), "rows_per_cpu_s": self.samples * len(rows) / self.cpu_seconds,
            "usable_by_sample": [
                _mean([every[sample].status == "ok" for every in self.paraphrases])  # pyright: ignore[reportOptionalMemberAccess]
                for sample in range(self.samples)
            ],
        }  # fmt: skip

    def equal_to(self, other: "Run") -> float:
        """The share of the sentences with the same paraphrases, or rejected for the same reason."""
        same = [
            [one and (one.status, one.text) for one in mine] == [one and (one.status, one.text) for one in theirs]
            for mine, theirs in zip(self.paraphrases, other.paraphrases, strict=True)
        ]
        return _mean(same)


def _cpu_seconds() -> float:
    """Of this process and of those that have ended, such as Apertium's."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=5000, help="default: 5000")
    parser.add_argument(
        "--data", nargs="+", default=list(DATA), help="names or files (default: the embedded data sets)"
    )
    parser.add_argument("--translator", default="apertium:eng-spa", help="default: apertium:eng-spa")
    parser.add_argument("--samples", type=int, default=4, help="of a sentence, where several are drawn (default: 4)")
    parser.add_argument("--json", action="store_true", help="print one object")
    try:
        study(parser.parse_args())
    except UserError as error:
        sys.exit(f"study_backtranslation: {error}")


def study(options: argparse.Namespace) -> None:
    disable_progress_bar()
    if options.sentences < PARTS or options.samples < 1:
        raise SettingsError(f"--sentences is at least {PARTS}, --samples at least 1")
    sentences = _sentences(options.data, options.sentences)
    if len(sentences) < PARTS:
        raise DataError(f"{' '.join(options.data)}: {len(sentences)} sentences; give data with {PARTS} or more")
    job = BackTranslation(translator=options.translator)
    decodings, by_engine = {"the only one": Run(job)}, dict[str, Run]()
    if "apertium:" not in options.translator:
        decodings = {
            name: Run(replace(job, **fields), samples=options.samples if name == SEVERAL else 1)
            for name, fields in DECODINGS.items()
        }
        if options.translator.startswith("marian:"):
            by_engine = {
                f"{engine} {precision}, {name}": Run(
                    replace(
                        job,
                        translator=options.translator.replace("marian:", f"{engine}:"),
                        precision=precision,
                        **DECODINGS[name],
                    ),
                    parts=PARTS,
                )
                for name in ("greedy", SEVERAL)
                for engine, precisions in ENGINES.items()
                for precision in precisions
            }
    by_engine = {name: run for name, run in by_engine.items() if _can_run(name, run, sentences[0])}
    runs = [*decodings.values(), *by_engine.values()]
    with tempfile.TemporaryDirectory() as folder:
        for run in runs:
            run.job(sentences[:1], [0])  # opens the models
        for part in range(PARTS):
            for number, run in enumerate(runs):
                run.translate(sentences[part::PARTS], Path(folder) / f"{number}-{part}")
            print(f"part {part + 1} of {PARTS}", file=sys.stderr, flush=True)
        similarity = Similarity(Cache(Path(folder) / "similarity"))
        record: dict[str, Any] = {
            kind: [run.record(name, similarity) for name, run in of_kind.items()]
            for kind, of_kind in {"decodings": decodings, "engines": by_engine}.items()
        }
    for entry, (name, run) in zip(record["engines"], by_engine.items(), strict=True):
        entry["equal_to_float32"] = run.equal_to(by_engine["marian float32, " + name.partition(", ")[2]])
    record = {"translator": options.translator, "sentences": len(sentences)} | record
    print(json.dumps(record) if options.json else _tables(record))


def _can_run(name: str, run: Run, sentence: str) -> bool:
    """Whether an engine is installed and takes the models; if not, it is left out with a line."""
    try:
        run.job([sentence], [0])
    except UserError as error:
        print(f"without {name}: {error}", file=sys.stderr, flush=True)
        return False
    return True


def _sentences(names: list[str], most: int) -> list[str]:
    """Distinct sentences of the test rows, or of all rows of a file without test rows, from each source in turn."""
    by_source = []
    for name in names:
        corpus = load(name, with_labels=False) if Path(name).exists() else load(name)
        texts = corpus.test.texts or corpus.unlabeled
        by_source.append(
            list(dict.fromkeys(sentence for text in texts for sentence in split_sentences(text).sentences))
        )
    longest = max(map(len, by_source))
    turns = (every[place] for place in range(longest) for every in by_source if place < len(every))
    return list(dict.fromkeys(turns))[:most]


def _tables(record: dict[str, Any]) -> str:
    lines = [f"{record['translator']}, {record['sentences']:,} sentences"]
    for kind in ("decodings", "engines"):
        if record[kind]:
            equal = kind == "engines"
            lines += ["", f"| {kind[:-1]} | usable | words changed | similarity | a CPU-second | rejected |"
                      + (" equal to float32 |" if equal else ""), "| --- " * (6 + equal) + "|"]  # fmt: skip
        for entry in record[kind]:
            rejected = ", ".join(f"{reason} {share:.1%}" for reason, share in entry["rejected"].items())
            cells = [
                entry["run"], f"{entry['usable']:.1%}", f"{entry['words_changed']:.1%}", f"{entry['similarity']:.3f}",
                f"{entry['rows_per_cpu_s']:.1f}", rejected,
            ]  # fmt: skip
            cells += [f"{entry['equal_to_float32']:.1%}"] if equal else []
            lines.append(f"| {' | '.join(cells)} |")
    for entry in record["decodings"]:
        if (count := len(usable := entry["usable_by_sample"])) > 1:
            heads = " | ".join(f"sample {number + 1}" for number in range(count))
            lines += ["", f"| usable | {heads} | distinct paraphrases a sentence |", "| --- " * (count + 2) + "|"]
            cells = " | ".join(f"{share:.1%}" for share in usable)
            lines.append(f"| {entry['run']} | {cells} | {sum(usable):.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
