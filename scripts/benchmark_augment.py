"""Word-level augmentations beside nlpaug, TextAttack and textaugment: how fast on one core, and what they break.

    python -m venv peers && peers/bin/pip install nlpaug textattack textaugment inflect vaderSentiment stop-words \
        textblob-aptagger "flair>=0.15" "transformers<5"
    python scripts/benchmark_augment.py --json --peers peers/bin/python

(The last two are TextAttack's: without bounds pip tries release after release.) Without --peers only our speed is
measured, for the judges of quality live there too.

Speed, on sentences of the movie snippets: each round runs every operation of ours and of the peers in turn, all bound
to one core and one thread; CPU time within the calls that augment counts. Ours gets all sentences, a peer the first of
the same, as many as it does in --seconds: `texts` says how many. Where there is a rate all get the same. In the first
pass ours has split the sentences into words once, for TF-IDF's statistics. TextAttack's EDA makes four texts a call.

Quality, of what all rounds made (of ours the first 2,000 texts), by judges that are not ours. Words are compared by
difflib; shares are of the edited words where nothing else is said.
- a_an: a wrong pair that the source has not; `inflect` says which is right.
- contractions: a word of the source with an apostrophe inside is not there any more.
- inflections, of the replaced words where WordNet's `morphy` (rules, lists of exceptions) knows both: no form in common
  (a part of speech with its base, plural, past tense or participle as one, -ing, -s, comparative, superlative).
- antonyms, of the replaced words with a valence of 1 or more in VADER's lexicon: the substitute is one to WordNet in
  some sense, directly or by way of similar adjectives.
- other_bytes, of the texts: between two words that stayed neighbours something else stands, a word changed in its case
  alone, or punctuation has gone (not looked at for switchout and uniform, to which it is tokens).

Where NLTK lacks data the record names stand-ins: for its tagger, weights of textblob-aptagger, by the same author, run
by NLTK's own class; for its stop words, those of stop-words. WordNet is ours. No code of the peers is replaced.
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
SUBSTITUTING = ("synonym", "switchout", "uniform", "tfidf", "eda")  # where a new word stands for an old one
SHARES = {
    **{"changed": "texts", "other_bytes": "texts", "edits": "words", "a_an": "edits", "contractions": "edits"},
    **{"inflections": "inflections_judged", "antonyms": "polarity_words"},
}
PEERS = ("nlpaug", "textattack", "textaugment")
WARM_UP, JUDGED = 200, 2000  # sentences of ours: beyond those that count, and the first that do
Makers = dict[str, Callable[[], Callable]]  # by operation, how to make what is called with a text; ours with many


def ours(texts: list[str], rate: float) -> Makers:
    import torch

    from text_uda.augment import METHODS

    torch.set_num_threads(1)

    def job(name: str) -> Callable:
        given: dict[str, Any] = {"rate": rate} if "rate" in METHODS[name].__dataclass_fields__ else {}
        if "statistics" in METHODS[name].__dataclass_fields__:
            given["statistics"] = importlib.import_module(f"text_uda.augment.{name}").Statistics.of(texts)
        return METHODS[name](**given)

    return {name: partial(job, name) for name in METHODS if name in OPERATIONS}


def nlpaug(texts: list[str], rate: float) -> Makers:
    from nlpaug.augmenter import char, word
    from nlpaug.model.word_stats import TfIdf
    from nlpaug.util.text.tokenizer import Tokenizer

    words = [Tokenizer.tokenizer(text) for text in texts]
    amount: dict[str, Any] = {"aug_p": rate, "aug_max": None}
    at_random = amount | {"target_words": sorted({each for some in words for each in some})}

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

    def times(method: Callable) -> Callable[[], Callable]:  # as many as EDA's paper says
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
        made = call(text)
    except Exception:  # a library that fails on a sentence is no reason to stop; how often stands in the record
        return None
    return [made] if isinstance(made, str) else list(made)


def switchout_on_ids(texts: list[str], rate: float, rounds: int) -> dict[str, float]:
    """Tokens a CPU-second on padded batches of 256 texts, as a training step has them; padding does not count."""
    import torch

    from text_uda.augment import SwitchOut
    from text_uda.model.inputs import Tokens
    from text_uda.model.pretrained import load_tokenizer

    encode: Any = partial(load_tokenizer("minilm-l6"), padding=True, truncation=True, return_tensors="pt")
    encoded = [encode(texts[start : start + 256]) for start in range(0, len(texts), 256)]
    batches = [Tokens(each["input_ids"], each["attention_mask"]) for each in encoded]
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
    """How often what is broken, and how often it could have been."""
    found = Counter()
    for source, made in pairs:
        (a, spaces_a), (b, spaces_b), other = _tokens(source), _tokens(made), False
        for kind, i, j, k, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
            if kind == "equal":
                other |= spaces_a[i : j - 1] != spaces_b[k : m - 1]
                continue
            found["edits"] += max(j - i, m - k)
            if operation not in ("switchout", "uniform"):
                other |= any(not token[0].isalnum() and token not in b[k:m] for token in a[i:j])
            for x, y in zip(a[i:j], b[k:m], strict=False) if j - i == m - k else ():
                other |= x.lower() == y.lower()
                if operation in SUBSTITUTING and x[0].isalpha() and y[0].isalpha():
                    found.update(_substitute(x.lower(), y.lower()))
        found.update(texts=1, words=len(a), changed=source != made, other_bytes=other)
        found.update(a_an=(_wrong_articles(b) - _wrong_articles(a)).total())
        found.update(contractions=sum((Counter(a) - Counter(b))[word] for word in filter(_CONTRACTED.search, {*a})))
    return dict(found)


def _tokens(text: str) -> tuple[list[str], list[str]]:
    """Words and punctuation marks, and what stands between each two of them."""
    found = list(_TOKEN.finditer(text))
    return [each[0] for each in found], [text[x.end() : y.start()] for x, y in pairwise(found)]


def _wrong_articles(tokens: list[str]) -> Counter[tuple[str, str]]:
    right, pairs = _made("inflect", "engine").a, pairwise(token.lower() for token in tokens)
    return Counter((x, y) for x, y in pairs if x in ("a", "an") and y[0].isalnum() and right(y).split()[0] != x)


@cache
def _made(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)()


@cache
def _substitute(old: str, new: str) -> dict[str, int]:
    if old == new or {old, new} == {"a", "an"}:
        return {}
    forms, others = ({form for _, form in _readings(word)} for word in (old, new))
    found = {"inflections_judged": 1, "inflections": not forms & others} if forms and others else {}
    if abs(_made("vaderSentiment.vaderSentiment", "SentimentIntensityAnalyzer").lexicon.get(old, 0)) >= 1:
        found |= {"polarity_words": 1, "antonyms": any(lemma in _antonyms(old) for lemma, _ in _readings(new))}
    return found


@cache
def _readings(word: str) -> list[tuple[str, str]]:
    """(lemma, part of speech and form) that a word may be."""
    found = []
    for part, endings in _ENDINGS.items():
        form = f"{part}, inflected: -{next(end for end in endings if word.endswith(end))}"
        found += [(lemma, part if lemma == word else form) for lemma in nltk.corpus.wordnet._morphy(word, part)]
    return found


@cache
def _antonyms(word: str) -> set[str]:
    names, opposite = {lemma for lemma, _ in _readings(word)}, []
    for sense in (sense for name in names for sense in nltk.corpus.wordnet.synsets(name)):
        own = [lemma for lemma in sense.lemmas() if lemma.name().lower() in names]
        own += [lemma for head in sense.similar_tos() for lemma in head.lemmas()]
        opposite += [antonym for lemma in own for antonym in lemma.antonyms()]
    similar = [lemma for each in opposite for near in each.synset().similar_tos() for lemma in near.lemmas()]
    return {lemma.name().lower() for lemma in opposite + similar}


def stand_ins(folder: Path) -> list[str]:
    """What NLTK may lack, written where it looks last; returns what it takes of this."""
    from stop_words import get_stop_words

    path = distribution("textblob-aptagger").locate_file("textblob_aptagger/trontagger-0.1.0.pickle")
    parts = pickle.loads(Path(str(path)).read_bytes())
    kinds = zip(("weights", "tagdict", "classes"), parts, strict=True)
    at = "taggers/averaged_perceptron_tagger_eng/averaged_perceptron_tagger_eng"
    written = {f"{at}.{kind}.json": json.dumps(part, default=sorted) for kind, part in kinds}  # classes are a set
    written["corpora/stopwords/english"] = "".join(f"{word}\n" for word in get_stop_words("en"))
    for name, content in written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return [name for name in written if str(folder) in str(nltk.data.find(name))]


def serve(libraries: list[str]) -> None:
    """Answer requests until there are no more. What the libraries print goes to the standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    known: Makers = {}
    made = cache(lambda name: known[name]())

    def start(texts: list[str], rate: float, folder: str) -> dict[str, Any]:
        written = [] if "ours" in libraries else stand_ins(Path(folder))
        absent, versions = {}, {"python": platform.python_version()}
        for library in libraries:
            try:
                known.update({f"{library} {name}": make for name, make in globals()[library](texts, rate).items()})
                versions |= {name: version(name) for name in ("text-uda" if library == "ours" else library, "nltk")}
            except Exception as error:  # not installed, or not to be imported here: the record says why
                absent[library] = repr(error)[:300]
        return {"known": list(known), "absent": absent, "versions": versions, "stand_ins": written}

    def run(name: str, texts: list[str], number: int) -> dict[str, Any]:
        call = made(name)
        started = time.process_time()
        if name.startswith("ours "):
            outputs = [[each.text or ""] for each in call(texts, [number] * len(texts))]
        else:
            outputs = [attempt(call, text) for text in texts]
        return {"seconds": time.process_time() - started, "outputs": outputs}

    verbs = {"start": start, "run": run, "judge": judge, "switchout_on_ids": switchout_on_ids}
    for line in sys.stdin:
        verb, given = json.loads(line)
        try:
            answer = verbs[verb](**given)
        except Exception as error:
            answer = {"error": repr(error)[:300]}
        print(json.dumps(answer), file=answers, flush=True)


class Worker:
    def __init__(self, python: str, libraries: tuple[str, ...], folder: Path, **given: Any) -> None:
        from text_uda.text.wordnet import read

        read("lexnames")  # is copied to where NLTK reads it, and NLTK told
        settings = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "RAYON")}
        settings |= {"NLTK_DATA": os.pathsep.join([*nltk.data.path, str(folder)]), "TMPDIR": str(folder)}
        self._errors = folder / f"{libraries[0]}.err"
        self._process: Any = subprocess.Popen(
            [python, __file__, "--serve", *libraries], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors.open("w"), text=True, env=os.environ | settings,
        )  # fmt: skip
        self.about = self.ask("start", folder=str(folder), **given)

    def ask(self, verb: str, **given: Any) -> Any:
        print(json.dumps([verb, given]), file=self._process.stdin, flush=True)
        if not (line := self._process.stdout.readline()):
            raise SystemExit(f"a process ended:\n{self._errors.read_text()[-2000:]}")
        if "error" in (answer := json.loads(line)):
            raise RuntimeError(f"{given.get('name', verb)}: {answer['error']}")
        return answer


def measure(options: argparse.Namespace, texts: list[str], workers: dict[str, Worker]) -> tuple[dict, dict[str, str]]:
    """Texts, rates and what was made, by each that runs; why each of the others does not."""
    runs, absent = {}, {}
    for operation in OPERATIONS:
        for library, worker in workers.items():
            name, warm_up = f"{library} {operation}", texts[options.texts :][: None if library == "ours" else 20]
            if name not in worker.about["known"]:
                absent[name] = worker.about["absent"].get(library, "has no such operation")
                continue
            try:
                warm = [worker.ask("run", name=name, texts=warm_up, number=0)["seconds"] for _ in range(2)][1]
            except RuntimeError as error:
                absent[name] = str(error)
                continue
            count = options.texts if library == "ours" else int(options.seconds * len(warm_up) / max(warm, 1e-6))
            runs[name] = {"texts": min(options.texts, max(20, count)), "failed_calls": 0, "rates": [], "made": []}
    for number in range(options.rounds):
        for name, run in runs.items():
            library = name.split()[0]
            answer = workers[library].ask("run", name=name, texts=texts[: run["texts"]], number=number)
            made = [(texts[i], text) for i, several in enumerate(answer["outputs"]) for text in several or ()]
            run["failed_calls"] += answer["outputs"].count(None)
            run["rates"].append(len(made) / answer["seconds"])
            run["made"] += made[:JUDGED] if library == "ours" else made
            print(f"round {number + 1}: {name}: {run['rates'][-1]:,.0f} texts a CPU-second", file=sys.stderr)
    return runs, absent


def record(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from text_uda import load
    from text_uda.text.sentences import split_sentences

    corpus, count = load("movie-snippets"), options.texts + WARM_UP
    whole = (*corpus.train.texts, *corpus.unlabeled, *corpus.test.texts)
    texts = list(dict.fromkeys(one for text in whole for one in split_sentences(text).sentences))[:count]
    if len(texts) < count:
        raise SystemExit(f"--texts {options.texts}: there are {len(texts)} sentences, of which {WARM_UP} warm up")
    own = Worker(sys.executable, ("ours",), folder, texts=texts, rate=options.rate)
    peers = Worker(options.peers, PEERS, folder, texts=texts, rate=options.rate) if options.peers else None
    switched = own.ask("switchout_on_ids", texts=texts, rate=options.rate, rounds=options.rounds)
    if peers:  # before the long part
        peers.ask("judge", pairs=[("a good film", "an bad film")], operation="synonym")
    runs, absent = measure(options, texts, {"ours": own} | (dict.fromkeys(PEERS, peers) if peers else {}))
    quality = {}
    for name, run in runs.items():
        made = run.pop("made")
        counts = Counter(peers.ask("judge", pairs=made, operation=name.split()[1]) if peers else {})
        shares = {f"{part}_of_{of}": counts[part] / counts[of] for part, of in SHARES.items() if counts[of]}
        quality[name] = shares | counts
        run |= {"texts_per_cpu_s": statistics.median(run["rates"]), "first_pass": run["rates"][0]}
    ratios = {}
    for name, run in runs.items():
        library, operation = name.split()
        best = runs.get(f"ours {operation}") if all(run["rates"]) else None  # a peer that always fails has none
        if library != "ours" and best:
            ratios[f"{operation} over {library}"] = best["texts_per_cpu_s"] / run["texts_per_cpu_s"]
            ratios[f"{operation} over {library}, first pass"] = best["first_pass"] / run["first_pass"]
    absent |= {} if peers else {"peers": "no --peers given: nothing of theirs is measured, and no quality"}
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
    parser.add_argument("--rate", type=float, default=0.1, help="share of the words to change, as EDA's paper has it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="of a peer, for each operation in a round")
    parser.add_argument("--peers", help="the python of an environment that has them")
    parser.add_argument("--json", action="store_true", help="on one line")
    parser.add_argument("--serve", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve)
    with tempfile.TemporaryDirectory() as folder:
        found = record(options, Path(folder))
    print(json.dumps(found, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
