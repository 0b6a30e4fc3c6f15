"""Translate text by Apertium, there and back, for distill_translator.py: the pairs, and a vocabulary of both languages.

    python scripts/distill_pairs.py --out pairs                        some 20 minutes on two cores; a rerun goes on
    python scripts/distill_pairs.py --out pairs --text reviews.csv more.txt

It reads the embedded data sets, and WordNet's definitions and examples of all parts of speech; with --text other files
or data sets instead. Sentences are split and protected as by `paraphrase`. A sentence of a test row, or a near copy of
one, is never trained on; up to 1,000 of each data set are kept for distill_score.py. A pair is left out if the teacher
marks a word as not generated, if too many of its words are unknown, if it leaves the sentence as it is, or if one side
has more than twice the words of the other, and two. Of the training sentences, 5% get stand-ins for one or two words,
which students learn to copy: URLs and names are translated as such. To them come sentences in which a sixth of the
words are replaced by random ones (as in SwitchOut, Wang et al. 2018, arXiv 1808.07512): the teacher translates any
text, and rare words get contexts.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sentencepiece

from text_uda import load
from text_uda.data.named import EMBEDDED
from text_uda.data.near_copies import essence
from text_uda.errors import DataError, SettingsError, UserError
from text_uda.keyed_random import Draws, Key, keyed_generator, keyed_seed
from text_uda.progress import followed
from text_uda.text.language import two_letters
from text_uda.text.protected_spans import protect
from text_uda.text.sentences import split_sentences
from text_uda.text.typography import plain
from text_uda.text.wordnet import read
from text_uda.translate.apertium import Apertium
from translation_cache import Cache, CacheError, Job, Paraphrase, fill, lookup
from translation_cache.atomic import whole_file, write_whole

STAND_INS = 9  # pieces of the vocabulary, XQ1 to XQ9
STAND_IN_SHARE = 0.05
KEPT = 1000  # sentences of the learning curve, and of the test rows of each data set
END, UNKNOWN = 0, 1
_UNKNOWN_WORD = re.compile(r"(?<!\w)\*(?=\w)(?!XQ\d)")
_STAND_IN = re.compile(r"XQ\d")
_WORD = re.compile(r"(?<![\w'])[^\W\d_]+(?!\w)")
_NOT_GENERATED = re.compile(r"(?<!\w)[@#](?=\w)")
_MARKS = re.compile(r"[*@#\\^$]")
_EXAMPLE = re.compile(r'"([^"]+)"')
_FIRST_EXAMPLE = re.compile(r'[;:,]?\s*"')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pair", default="eng-spa", help="of Apertium (default: eng-spa)")
    parser.add_argument("--text", nargs="+", help="files or data sets in place of the embedded ones")
    parser.add_argument("--sentences", type=int, help="to train on at most, drawn by their hashes (default: all)")
    mixed_help = "sentences with replaced words, as a share of the training sentences (default: 0.7)"
    parser.add_argument("--mixed", type=float, default=0.7, metavar="SHARE", help=mixed_help)
    parser.add_argument("--vocabulary", type=int, default=8000, help="pieces for both languages (default: 8000)")
    unknown_help = "share of the words of a translation that may be unknown (default: 0.2)"
    parser.add_argument("--most-unknown", type=float, default=0.2, metavar="SHARE", help=unknown_help)
    parser.add_argument("--workers", type=int, default=2, help="processes of the teacher (default: 2)")
    try:
        make_pairs(parser.parse_args())
    except (UserError, CacheError) as error:
        sys.exit(f"distill_pairs: {error}")


@dataclass(frozen=True)
class RoundTrip(Job):
    """The teacher's translation as the pivot and its back-translation as the text, with marks at unknown words."""

    there: Apertium
    back: Apertium
    batch_size = 2048

    def settings(self) -> dict[str, Any]:
        return {"method": "round trip of the teacher", "there": self.there.settings(), "back": self.back.settings()}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        pivots = [translation.text for translation in self.there(sources)]
        backs = [translation.text for translation in self.back([_MARKS.sub("", pivot) for pivot in pivots])]
        return [Paraphrase(back, pivot=pivot) for pivot, back in zip(pivots, backs, strict=True)]


def make_pairs(options: argparse.Namespace) -> None:
    """Write pairs.parquet, shared.spm, vocab.json and pairs.json into OUT; OUT/teacher is the teacher's cache."""
    if not (options.workers > 0 and options.vocabulary > 0 and options.mixed >= 0 and 0 <= options.most_unknown <= 1):
        raise SettingsError("--workers and --vocabulary are above 0, --mixed is at least 0, --most-unknown from 0 to 1")
    if options.sentences is not None and options.sentences < 1:
        raise SettingsError(f"--sentences {options.sentences}: give 1 or more")
    there, back = options.pair, "-".join(reversed(options.pair.split("-")))
    teacher = RoundTrip(*(Apertium(direction, mark_unknown=True) for direction in (there, back)))
    settings = teacher.settings()  # first: it says what is not installed
    languages = [two_letters(code.split("_")[0]) for code in there.split("-")]
    if not options.text and languages[0] != "en":
        raise SettingsError(f"--pair {there}: the embedded data sets are English; give other text (--text)")
    rows, held_out = _sentences(options.text, options.sentences, languages[0])
    known = {essence(sentence) for sentence, _, _ in rows} | held_out
    mixed = _mixed([row for row in rows if row[2] == "train"], options.mixed)
    rows += [row for row in mixed if essence(row[0]) not in known]
    cache = Cache(options.out / "teacher")
    print(
        f"{len(rows):,} sentences; at 200 a second there and back, {len(rows) / 12000 / options.workers:.0f} minutes",
        flush=True,
    )
    sources = [source for source, _, _ in rows]
    with followed("translate", "sentences") as on_progress:
        fill(cache, teacher, sources, workers=options.workers, batch_size=2048, progress=on_progress)
    dropped, lost, kept = Counter[str](), Counter[str](), []
    for (source, origin, split), [found] in zip(rows, lookup(cache, settings, sources), strict=True):
        assert found is not None and found.text is not None and found.pivot is not None
        pivot = _MARKS.sub("", found.pivot)
        fault = _fault(source, found.pivot, options.most_unknown)
        fault_back = fault or _fault(pivot, found.text, options.most_unknown)
        dropped.update({f"there: {fault}": fault is not None, f"back: {fault_back}": fault_back != fault})
        lost[split] += fault_back is not None
        if fault is None:
            kept.append((split, origin, source, pivot, None if fault_back else _MARKS.sub("", found.text)))
    held_out = {essence(pivot) for split, _, _, pivot, _ in kept if split != "train"}
    all_pairs, kept = kept, [row for row in kept if row[0] != "train" or essence(row[3]) not in held_out]
    dropped["there: translation of a held-out sentence"] = len(all_pairs) - len(kept)
    if not any(split == "train" for split, *_ in kept):
        raise DataError("no pair is left to train on: give more text, or raise --most-unknown")
    columns: dict[str, list[Any]] = dict(
        zip(("split", "origin", "source", "pivot", "back"), map(list, zip(*kept, strict=True)), strict=True)
    )
    (options.out / "pairs.json").unlink(missing_ok=True)  # it says that the other files are whole
    _make_vocabulary(options.out, columns, options.vocabulary)
    with whole_file(options.out / "pairs.parquet") as unfinished:
        pq.write_table(pa.table(columns), unfinished, compression="zstd")
    counts = Counter(split for split, *_ in kept)
    record = {"pair": there, "languages": languages, "teacher": settings, "sentences": dict(counts),
              "without": {reason: count for reason, count in dropped.most_common() if count},
              "test sentences without a round trip": lost["test"]}  # fmt: skip
    write_whole(options.out / "pairs.json", json.dumps(record, indent=1) + "\n")
    print(json.dumps(record["sentences"] | {"left out": record["without"]}))


def _sentences(texts: list[str] | None, most: int | None, language: str) -> tuple[list[tuple[str, str, str]], set[str]]:
    """(sentence, origin, split) in the order of their hashes, split being train, dev or test; and the essences of all
    sentences of test rows. Of near copies there is one, that of a test row first."""
    copies: dict[str, tuple[str, str, bool]] = {}
    for origin, text, is_test in sorted(_texts(texts), key=lambda row: not row[2]):
        for piece in split_sentences(text, language=language).sentences:
            sentence = plain(protect(piece).text)
            if len(sentence.split()) > 1 and not _MARKS.search(sentence):
                copies.setdefault(essence(sentence), (sentence, origin, is_test))
    order = sorted(copies.values(), key=lambda row: keyed_seed("distill", row[0]))
    rows, counts = list[tuple[str, str, str]](), Counter[str]()
    for sentence, origin, is_test in order:
        counts[kind := f"test {origin}" if is_test else "train"] += 1
        if is_test and counts[kind] <= KEPT:
            rows.append((sentence, origin, "test"))
        elif not is_test and (most is None or counts[kind] <= most):
            is_dev = counts[kind] <= min(KEPT, len(order) // 10)
            rows.append((sentence if is_dev else _with_stand_ins(sentence), origin, "dev" if is_dev else "train"))
    if not rows:
        raise DataError("the text has no sentence of two words or more")
    return rows, {key for key, (_, _, is_test) in copies.items() if is_test}


def _texts(names: list[str] | None) -> Iterator[tuple[str, str, bool]]:
    """(origin, text, whether it belongs to a test row). Of a file without a test side, one text in fifty does."""
    for name in names or EMBEDDED:
        corpus = load(name) if name in EMBEDDED else load(name, with_labels=False)
        for text in corpus.test.texts:
            yield name, text, True
        for text in (*corpus.train.texts, *corpus.unlabeled):
            yield name, text, not corpus.test.texts and keyed_seed("held out", text) % 50 == 0
    for part in () if names else ("noun", "verb", "adj", "adv"):
        for line in read(f"data.{part}").decode("utf-8").splitlines():
            if not line.startswith(" "):
                gloss = line.partition(" | ")[2].strip()
                definition = _FIRST_EXAMPLE.split(gloss, maxsplit=1)[0].rstrip("; ")
                yield from (("wordnet", text, False) for text in (definition, *_EXAMPLE.findall(gloss)))


def _mixed(rows: list[tuple[str, str, str]], share: float) -> Iterator[tuple[str, str, str]]:
    """Sentences of all origins in turn, each twice at most, with random words of the rows, all words equally likely."""
    words = sorted({word for sentence, _, _ in rows for word in _WORD.findall(sentence) if word.islower()})
    of_origin: dict[str, list[str]] = {}
    for sentence, origin, _ in rows:
        of_origin.setdefault(origin, []).append(sentence)
    for number in range(int(share * len(rows))):
        turn, place = divmod(number, len(of_origin))
        origin, sentences = sorted(of_origin.items())[place]
        if turn >= 2 * len(sentences):
            continue
        draw = Key("mixed").draws(number, sentence := sentences[turn % len(sentences)])

        def replaced(match: re.Match[str], draw: Draws = draw) -> str:
            return words[draw.below(len(words))] if match[0].islower() and draw.below(6) == 0 else match[0]

        if (new := _WORD.sub(replaced, sentence)) != sentence:
            yield new, f"mixed {origin}", "train"


def _with_stand_ins(sentence: str) -> str:
    """Some sentences get stand-ins for one or two words, which the student learns to copy."""
    draw = keyed_generator("stand-ins", sentence)
    words = list(_WORD.finditer(sentence))
    if draw.random() > STAND_IN_SHARE or len(words) < 4 or "XQ" in sentence:
        return sentence
    places = sorted(draw.choice(len(words), size=draw.integers(1, 3), replace=False), reverse=True)
    for number, place in zip(range(len(places), 0, -1), places, strict=True):
        sentence = sentence[: words[place].start()] + f"XQ{number}" + sentence[words[place].end() :]
    return sentence


def _fault(source: str, marked: str, most_unknown: float) -> str | None:
    """Why a translation, with the teacher's marks, is not learned from."""
    words, source_words = len(marked.split()), len(source.split())
    if not words:
        return "empty"
    if _NOT_GENERATED.search(marked):
        return "not generated"
    if len(_UNKNOWN_WORD.findall(marked)) > most_unknown * words:
        return "unknown words"
    if sorted(_STAND_IN.findall(marked)) != sorted(_STAND_IN.findall(source)):
        return "stand-in"
    if max(words, source_words) > 2 * min(words, source_words) + 2:
        return "length"
    return "unchanged" if marked.casefold() == source.casefold() else None


def _make_vocabulary(folder: Path, columns: dict[str, list[Any]], size: int) -> None:
    """A SentencePiece model of both languages, and the ids of its pieces as MarianMT numbers them."""
    training = [place for place, split in enumerate(columns["split"]) if split == "train"]
    texts = [columns[side][place] for side in ("source", "pivot") for place in training]
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_prefix=str(folder / "shared"), vocab_size=size - 1, bos_id=-1,
            character_coverage=0.9998, hard_vocab_limit=False, minloglevel=2, num_threads=1,
            user_defined_symbols=[f"XQ{number}" for number in range(1, STAND_INS + 1)],
        )  # fmt: skip
    except RuntimeError as error:
        raise DataError(f"no vocabulary of {size:,} pieces can be made of this text ({error})") from error
    (folder / "shared.model").replace(folder / "shared.spm")
    (folder / "shared.vocab").unlink()
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "shared.spm"))
    vocabulary = {"</s>": END, "<unk>": UNKNOWN}
    for number in range(pieces.get_piece_size()):
        vocabulary.setdefault(pieces.id_to_piece(number), len(vocabulary))
    vocabulary["<pad>"] = len(vocabulary)
    write_whole(folder / "vocab.json", json.dumps(vocabulary, ensure_ascii=False))


if __name__ == "__main__":
    main()
