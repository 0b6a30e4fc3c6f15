"""Back-translate real review sentences through Spanish with Apertium: time, yield, rejections, distinct paraphrases.

python scripts/study_backtranslation.py --sentences 10000 --workers 2 --json
"""

import argparse
import json
import tempfile
from collections import Counter

from text_uda import BackTranslation, load, paraphrase
from text_uda.text.sentences import split_sentences
from translation_cache import Cache, lookup


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--translator", default="apertium:eng-spa")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    corpus = load("movie-snippets")
    texts = [*corpus.train.texts, *corpus.unlabeled, *corpus.test.texts]
    unique = dict.fromkeys(sentence for text in texts for sentence in split_sentences(text).sentences)
    sentences = list(unique)[: options.sentences]
    augmentation = BackTranslation(translator=options.translator)
    with tempfile.TemporaryDirectory() as folder:
        report = paraphrase(sentences, augmentation, folder, workers=options.workers)
        paraphrases = [row[0] for row in lookup(Cache(folder), augmentation.settings(), sentences)]
    usable = [one for one in paraphrases if one is not None and one.status == "ok"]
    changes = [one.scores["change_rate"] for one in usable]
    record = {
        "sentences": len(sentences),
        "seconds": round(report.seconds, 1),
        "sentences_per_s": round(report.computed / report.seconds, 1),
        "usable": len(usable) / len(sentences),
        "rejected": dict(Counter(report.rejected).most_common()),
        "distinct": len({one.text for one in usable}) / max(1, len(usable)),
        "change_rate": sum(changes) / max(1, len(changes)),
        "workers": options.workers,
    }
    if options.json:
        print(json.dumps(record))
        return
    for name, value in record.items():
        print(f"{name:<16} {value}")


if __name__ == "__main__":
    main()
