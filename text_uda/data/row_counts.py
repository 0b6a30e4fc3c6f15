"""Where the rows of a data set went, in one line."""

from text_uda.data.corpus import Corpus, Split
from text_uda.data.near_copies import have_near_copy
from text_uda.data.texts import joined


def describe_counts(corpus: Corpus, split: Split | None = None, *, limited: bool = False) -> str:
    """The rows of each side; with a split, also the training texts that it leaves out.

    Args:
        limited: the rows are a part of those that were read.
    """
    dev = () if corpus.dev is None else corpus.dev.texts
    sides = {"training": corpus.train.texts, "test": corpus.test.texts, "development": dev}
    parts = [f"{len(texts):,} for {side}" for side, texts in sides.items() if len(texts)]
    if len(corpus.unused):
        parts.append(f"{len(corpus.unused):,} unused")
    read = sum(map(len, sides.values())) + len(corpus.unused)
    sentence = f"{read:,} labeled rows {'used' if limited else 'read'}: {', '.join(parts)}"
    if len(corpus.unlabeled):
        sentence += f"; {len(corpus.unlabeled):,} unlabeled {'text' if len(corpus.unlabeled) == 1 else 'texts'}"
    if split is not None:
        labeled = 0 if split.label_sampling is None else len(split.labeled)  # all labels: they are unlabeled texts too
        drawn = labeled + len(split.unlabeled) + (len(split.dev) if corpus.dev is None else 0)
        left_out = len(corpus.train) + len(corpus.unlabeled) - drawn
        if left_out:
            texts = "text" if left_out == 1 else "texts"
            why = "near copies of others, or beyond a limit"
            why = f"other rows of a labeled or development text, {why}" if split.columns else why
            sentence += f"; the split leaves out {left_out:,} training {texts} ({why})"
    return sentence


def describe_unused(corpus: Corpus) -> str:
    """Why labeled rows are unused, with their numbers."""
    unused = set(corpus.unused.texts)
    repeated_texts = {text for text in corpus.train.texts if text in unused}
    repeated = sum(text in repeated_texts for text in corpus.unused.texts)
    others = [text for text in corpus.unused.texts if text not in repeated_texts]
    tested = joined(corpus.test.texts, () if corpus.dev is None else corpus.dev.texts)
    copies = int(have_near_copy(others, tested).sum())
    parts = [f"{repeated:,} repeat a training text"] if repeated else []
    differences = (
        "case, punctuation, spaces and other columns" if corpus.train.columns else "case, punctuation and spaces"
    )
    if copies:
        parts.append(f"{copies:,} equal a test or development text but for {differences}")
    if of_others := len(others) - copies:
        parts.append(f"{of_others:,} equal a test text of another task")
    return ", ".join(parts)
