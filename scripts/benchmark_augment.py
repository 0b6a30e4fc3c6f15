"""Word-level augmentations compared with nlpaug, TextAttack and textaugment: speed on one core, and errors in the text.

    python -m venv peers && peers/bin/pip install nlpaug textattack textaugment inflect vaderSentiment stop-words \
        textblob-aptagger "flair>=0.15" "transformers<5"
    python scripts/benchmark_augment.py --json --peers peers/bin/python

(The last two belong to TextAttack: without bounds, pip tries many releases.) Without --peers only our speed is
measured, since the judges of quality are installed with the peers.

Speed, on sentences of the movie snippets: each round runs every operation of ours and of the peers in turn, on one core
and one thread; the CPU time inside the augmenting calls counts. Ours gets all sentences, a peer as many of the first
as it processes in --seconds (`texts`). Operations with a rate have the same rate. In the first pass, ours has split
the sentences into words before, for the statistics of TF-IDF. TextAttack's EDA returns four texts per call.

Quality, of the texts of all rounds (of ours the first 2,000), by judges that are not ours. difflib compares the words;
shares are of the edited words unless noted.
- a_an: a new wrong "a" or "an", by `inflect`; contractions: a word with an apostrophe inside is missing.
- inflections, of the replaced words where WordNet's `morphy` (rules, lists of exceptions) knows both words: no common
  form (part of speech; base, plural, past tense or participle as one; -ing, -s, comparative, superlative).
- antonyms, of the replaced words with a valence of 1 or more in VADER's lexicon: the new word is an antonym in WordNet
  in some sense, directly or through similar adjectives.
- other_bytes, of the texts: the space between two words that stayed neighbors changed, a word changed in case only, or
  punctuation is missing (not judged for switchout and uniform, where punctuation is a token).

Where NLTK lacks data, the record names substitutes: for its tagger, weights of textblob-aptagger, by the same author,
run by NLTK's own class; for its stop words, those of stop-words. WordNet is ours. No code of the peers is replaced.
"""

import argparse
import difflib
import importlib
import json
import os
import pickle
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import distribution, version
from itertools import pairwise
from pathlib import Path
from typing import Any

import nltk

OPERATIONS = ("synonym", "insertion", "swap", "deletion", "typos", "switchout", "uniform", "tfidf", "aeda", "eda")
SUBSTITUTING = ("synonym", "switchout", "uniform", "tfidf", "eda")  # operations that replace words
SHARES = {
    **{"changed": "texts", "other_bytes": "texts", "edits": "words", "a_an": "edits", "contractions": "edits"},
    **{"inflections": "inflections_judged", "antonyms": "polarity_words"},
}
PEERS = ("nlpaug", "textattack", "textaugment")
WARM_UP, JUDGED = 200, 2000  # sentences of ours: extra ones for the warm-up, and those that are judged
Makers = dict[str, Callable[[], Callable]]  # by operation, a function that creates the call; ours takes many texts


def ours(texts: list[str], rate: float) -> Makers:
    import torch

    from text_uda.augment import METHODS

    torch.set_num_threads(1)

    def job(name: str) -> Callable:
        fields: dict[str, Any] = {"rate": rate} if "rate" in METHODS[name].__dataclass_fields__ else {}
        if "statistics" in METHODS[name].__dataclass_fields__:
            fields["statistics"] = importlib.import_module(f"text_uda.augment.{name}").Statistics.of(texts)
        return METHODS[name](**fields)

    return {name: partial(job, name) for name in METHODS if name in OPERATIONS}


def nlpaug(texts: list[str], rate: float) -> Makers:
    from nlpaug.augmenter import char, word
    from nlpaug.model.word_stats import TfIdf
    from nlpaug.util.text.tokenizer import Tokenizer

    words = [Tokenizer.tokenizer(text) for text in texts]
    amount: dict[str, Any] = {"aug_p": rate, "aug_max": None}
    at_random = amount | {"target_words": sorted({word for text in words for word in text})}

    model, folder = TfIdf(), tempfile.mkdtemp()
    model.train(words)
    model.save(folder)
    return {
        "synonym": lambda: word.SynonymAug(**amount).augment,
        "swap": lambda: word.RandomWordAug(action="swap", **at_random).augment,
        "deletion": lambda: word.RandomWordAug(action="delete", **at_random).augment,
        "uniform": lambda: word.RandomWordAug(action="substitute", **at_random).augment,
        "typos": lambda: char.KeyboardAug(aug_word_p=rate, aug_word_max=None, aug_char_max=1).augment,
        "tfidf": lambda: word.TfIdfAug(model_path=folder, **amount).augment,
    }


def textattack(texts: list[str], rate: float) -> Makers:
    from textattack.augmentation import recipes

    names = {"synonym": "WordNet", "insertion": "SynonymInsertion", "swap": "Swap", "deletion": "Deletion"}
    names |= {"typos": "CharSwap", "eda": "EasyData"}
    return {
        name: lambda recipe=recipe: getattr(recipes, f"{recipe}Augmenter")(pct_words_to_swap=rate).augment
        for name, recipe in names.items()
    }


def textaugment(texts: list[str], rate: float) -> Makers:
    from textaugment import AEDA, EDA

    eda = EDA()

    def times(method: Callable) -> Callable[[], Callable]:  # the number of EDA's paper
        return lambda: lambda text: method(text, n=max(1, int(rate * len(text.split()))))

    return {
        "synonym": times(eda.synonym_replacement),
        "insertion": times(eda.random_insertion),
        "swap": times(eda.random_swap),
        "deletion": lambda: partial(eda.random_deletion, p=rate),
        "aeda": lambda: AEDA().punct_insertion,
    }


def attempt(call: Callable, text: str) -> list[str] | None:
    try:
        augmented = call(text)
    except Exception:  # a library that fails on a sentence does not stop the run; the record counts these failures
        return None
    return [augmented] if isinstance(augmented, str) else list(augmented)


def switchout_on_ids(texts: list[str], rate: float, rounds: int) -> dict[str, float]:
    """Tokens per CPU-second on padded batches of 256 texts, as in a training step; padding does not count."""
    import torch

    from text_uda.augment import SwitchOut
    from text_uda.model.inputs import Tokens
    from text_uda.model.pretrained import load_tokenizer

    encode: Any = partial(load_tokenizer("minilm-l6"), padding=True, truncation=True, return_tensors="pt")
    encoded = [encode(texts[start : start + 256]) for start in range(0, len(texts), 256)]
    batches = [Tokens(batch["input_ids"], batch["attention_mask"]) for batch in encoded]
    method, generator, seconds = SwitchOut(rate=rate), torch.Generator().manual_seed(0), []
    for _ in range(rounds + 1):
        started = time.process_time()
        _ = [method.on_tokens(batch, generator) for batch in batches]
        seconds.append(time.process_time() - started)
    tokens = sum(int(batch.attention_mask.sum()) for batch in batches)
    return {"tokens": tokens, "tokens_per_cpu_s": tokens / statistics.median(seconds[1:])}


_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]|_")
_CONTRACTED = re.compile(r"\w['’]\w")
_ENDINGS = {"n": ("",), "v": ("ing", "s", ""), "a": ("r", "t", ""), "r": ("r", "t", "")}


def judge(pairs: list[tuple[str, str]], operation: str) -> dict[str, int]:
    """Counts of errors by kind, and of the cases in which they are possible."""
    counts = Counter()
    for source, augmented in pairs:
        (a, spaces_a), (b, spaces_b), other = _tokens(source), _tokens(augmented), False
        for kind, i, j, k, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
            if kind == "equal":
                other |= spaces_a[i : j - 1] != spaces_b[k : m - 1]
                continue
            counts["edits"] += max(j - i, m - k)
            if operation not in ("switchout", "uniform"):
                other |= any(not token[0].isalnum() and token not in b[k:m] for token in a[i:j])
            for x, y in zip(a[i:j], b[k:m], strict=False) if j - i == m - k else ():
                other |= x.lower() == y.lower()
                if operation in SUBSTITUTING and x[0].isalpha() and y[0].isalpha():
                    counts.update(_substitute(x.lower(), y.lower()))
        counts.update(texts=1, words=len(a), changed=source != augmented, other_bytes=other)
        counts.update(a_an=(_wrong_articles(b) - _wrong_articles(a)).total())
        counts.update(contractions=sum((Counter(a) - Counter(b))[word] for word in filter(_CONTRACTED.search, {*a})))
    return dict(counts)


def _tokens(text: str) -> tuple[list[str], list[str]]:
    """Words and punctuation marks, and the texts between neighbors."""
    matches = list(_TOKEN.finditer(text))
    return [match[0] for match in matches], [text[x.end() : y.start()] for x, y in pairwise(matches)]


def _wrong_articles(tokens: list[str]) -> Counter[tuple[str, str]]:
    right, pairs = _instance("inflect", "engine").a, pairwise(token.lower() for token in tokens)
    return Counter((x, y) for x, y in pairs if x in ("a", "an") and y[0].isalnum() and right(y).split()[0] != x)


@cache
def _instance(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)()


@cache
def _substitute(old: str, new: str) -> dict[str, int]:
    if old == new or {old, new} == {"a", "an"}:
        return {}
    forms, others = ({form for _, form in _readings(word)} for word in (old, new))
    counts = {"inflections_judged": 1, "inflections": not forms & others} if forms and others else {}
    if abs(_instance("vaderSentiment.vaderSentiment", "SentimentIntensityAnalyzer").lexicon.get(old, 0)) >= 1:
        counts |= {"polarity_words": 1, "antonyms": any(lemma in _antonyms(old) for lemma, _ in _readings(new))}
    return counts


@cache
def _readings(word: str) -> list[tuple[str, str]]:
    """The (lemma, part of speech and form) pairs of a word."""
    readings = []
    for part, endings in _ENDINGS.items():
        form = f"{part}, inflected: -{next(end for end in endings if word.endswith(end))}"
        readings += [(lemma, part if lemma == word else form) for lemma in nltk.corpus.wordnet._morphy(word, part)]
    return readings


@cache
def _antonyms(word: str) -> set[str]:
    names, opposite = {lemma for lemma, _ in _readings(word)}, []
    for sense in (sense for name in names for sense in nltk.corpus.wordnet.synsets(name)):
        lemmas = [lemma for lemma in sense.lemmas() if lemma.name().lower() in names]
        lemmas += [lemma for head in sense.similar_tos() for lemma in head.lemmas()]
        opposite += [antonym for lemma in lemmas for antonym in lemma.antonyms()]
    similar = [lemma for one in opposite for near in one.synset().similar_tos() for lemma in near.lemmas()]
    return {lemma.name().lower() for lemma in opposite + similar}


def stand_ins(folder: Path) -> list[str]:
    """Write the data that NLTK may lack to its last search path; returns the files that NLTK reads."""
    from stop_words import get_stop_words

    path = distribution("textblob-aptagger").locate_file("textblob_aptagger/trontagger-0.1.0.pickle")
    parts = pickle.loads(Path(str(path)).read_bytes())
    kinds = zip(("weights", "tagdict", "classes"), parts, strict=True)
    stem = "taggers/averaged_perceptron_tagger_eng/averaged_perceptron_tagger_eng"
    written = {f"{stem}.{kind}.json": json.dumps(part, default=sorted) for kind, part in kinds}  # classes are a set
    written["corpora/stopwords/english"] = "".join(f"{word}\n" for word in get_stop_words("en"))
    for name, content in written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return [name for name in written if str(folder) in str(nltk.data.find(name))]


def serve(libraries: list[str]) -> None:
    """Answer requests until the input ends. The output of the libraries goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    makers: Makers = {}
    operation = cache(lambda name: makers[name]())

    def start(texts: list[str], rate: float, folder: str) -> dict[str, Any]:
        written = [] if "ours" in libraries else stand_ins(Path(folder))
        absent, versions = {}, {"python": platform.python_version()}
        for library in libraries:
            try:
                makers.update({f"{library} {name}": make for name, make in globals()[library](texts, rate).items()})
                versions |= {name: version(name) for name in ("text-uda" if library == "ours" else library, "nltk")}
            except Exception as error:  # not installed, or cannot be imported: the record has the error
                absent[library] = repr(error)[:300]
        return {"known": list(makers), "absent": absent, "versions": versions, "stand_ins": written}

    def run(name: str, texts: list[str], number: int) -> dict[str, Any]:
        call = operation(name)
        started = time.process_time()
        if name.startswith("ours "):
            outputs = [[one.text or ""] for one in call(texts, [number] * len(texts))]
        else:
            outputs = [attempt(call, text) for text in texts]
        return {"seconds": time.process_time() - started, "outputs": outputs}

    verbs = {"start": start, "run": run, "judge": judge, "switchout_on_ids": switchout_on_ids}
    for line in sys.stdin:
        verb, arguments = json.loads(line)
        try:
            answer = verbs[verb](**arguments)
        except Exception as error:
            answer = {"error": repr(error)[:300]}
        print(json.dumps(answer), file=answers, flush=True)


class Worker:
    def __init__(self, python: str, libraries: tuple[str, ...], folder: Path, **arguments: Any) -> None:
        from text_uda.text.wordnet import read

        read("lexnames")  # which copies WordNet to where NLTK reads it
        settings = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "RAYON")}
        settings |= {"NLTK_DATA": os.pathsep.join([*nltk.data.path, str(folder)]), "TMPDIR": str(folder)}
        self._errors = folder / f"{libraries[0]}.err"
        self._process: Any = subprocess.Popen(
            [python, __file__, "--serve", *libraries], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors.open("w"), text=True, env=os.environ | settings,
        )  # fmt: skip
        self.about = self.ask("start", folder=str(folder), **arguments)

    def ask(self, verb: str, **arguments: Any) -> Any:
        print(json.dumps([verb, arguments]), file=self._process.stdin, flush=True)
        if not (line := self._process.stdout.readline()):
            raise SystemExit(f"a process ended:\n{self._errors.read_text()[-2000:]}")
        if "error" in (answer := json.loads(line)):
            raise RuntimeError(f"{arguments.get('name', verb)}: {answer['error']}")
        return answer


def measure(options: argparse.Namespace, texts: list[str], workers: dict[str, Worker]) -> tuple[dict, dict[str, str]]:
    """Texts, rates and outputs of each operation that runs; the reason for each that does not."""
    runs, absent = {}, {}
    for operation in OPERATIONS:
        for library, worker in workers.items():
            name, warm_up = f"{library} {operation}", texts[options.texts :][: None if library == "ours" else 20]
            if name not in worker.about["known"]:
                absent[name] = worker.about["absent"].get(library, "the library has no such operation")
                continue
            try:
                warm = [worker.ask("run", name=name, texts=warm_up, number=0)["seconds"] for _ in range(2)][1]
            except RuntimeError as error:
                absent[name] = str(error)
                continue
            count = options.texts if library == "ours" else int(options.seconds * len(warm_up) / max(warm, 1e-6))
            runs[name] = {"texts": min(options.texts, max(20, count)), "failed_calls": 0, "rates": [], "pairs": []}
    for number in range(options.rounds):
        for name, run in runs.items():
            library = name.split()[0]
            answer = workers[library].ask("run", name=name, texts=texts[: run["texts"]], number=number)
            pairs = [(texts[i], text) for i, outputs in enumerate(answer["outputs"]) for text in outputs or ()]
            run["failed_calls"] += answer["outputs"].count(None)
            run["rates"].append(len(pairs) / answer["seconds"])
            run["pairs"] += pairs[:JUDGED] if library == "ours" else pairs
            print(f"round {number + 1}: {name}: {run['rates'][-1]:,.0f} texts a CPU-second", file=sys.stderr)
    return runs, absent


def record(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from text_uda import load
    from text_uda.text.sentences import split_sentences

    corpus, count = load("movie-snippets"), options.texts + WARM_UP
    whole = (*corpus.train.texts, *corpus.unlabeled, *corpus.test.texts)
    texts = list(dict.fromkeys(one for text in whole for one in split_sentences(text).sentences))[:count]
    if len(texts) < count:
        raise SystemExit(
            f"--texts {options.texts}: there are {len(texts)} sentences, {WARM_UP} of them for the warm-up"
        )
    own = Worker(sys.executable, ("ours",), folder, texts=texts, rate=options.rate)
    peers = Worker(options.peers, PEERS, folder, texts=texts, rate=options.rate) if options.peers else None
    switched = own.ask("switchout_on_ids", texts=texts, rate=options.rate, rounds=options.rounds)
    if peers:  # fail before the long part
        peers.ask("judge", pairs=[("a good film", "an bad film")], operation="synonym")
    runs, absent = measure(options, texts, {"ours": own} | (dict.fromkeys(PEERS, peers) if peers else {}))
    quality = {}
    for name, run in runs.items():
        pairs = run.pop("pairs")
        counts = Counter(peers.ask("judge", pairs=pairs, operation=name.split()[1]) if peers else {})
        shares = {f"{part}_of_{of}": counts[part] / counts[of] for part, of in SHARES.items() if counts[of]}
        quality[name] = shares | counts
        run |= {"texts_per_cpu_s": statistics.median(run["rates"]), "first_pass": run["rates"][0]}
    ratios = {}
    for name, run in runs.items():
        library, operation = name.split()
        best = runs.get(f"ours {operation}") if all(run["rates"]) else None  # a peer whose calls all fail has no rate
        if library != "ours" and best:
            ratios[f"{operation} over {library}"] = best["texts_per_cpu_s"] / run["texts_per_cpu_s"]
            ratios[f"{operation} over {library}, first pass"] = best["first_pass"] / run["first_pass"]
    absent |= {} if peers else {"peers": "without --peers, neither their speed nor any quality is measured"}
    return {
        "ratios": {name: round(ratio, 2) for name, ratio in ratios.items()},
        "figures": {
            "speed": runs, "quality": quality, "switchout_on_ids": switched, "absent": absent,
            "stand_ins": peers.about["stand_ins"] if peers else [],
            "options": {key: value for key, value in vars(options).items() if isinstance(value, int | float)},
        },
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {"ours": own.about["versions"]} | ({"peers": peers.about["versions"]} if peers else {}),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=0.1, help="share of the words to change, 0.1 in EDA's paper")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="time of a peer for each operation in a round")
    parser.add_argument("--peers", help="the python of an environment with the peers")
    parser.add_argument("--json", action="store_true", help="on one line")
    parser.add_argument("--serve", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve)
    with tempfile.TemporaryDirectory() as folder:
        measured = record(options, Path(folder))
    print(json.dumps(measured, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
