"""Texts in pieces on disk."""

import pytest

from text_uda.paraphrasing.documents import _BLOCK, Documents
from translation_cache import CacheError

TEXTS = ["One film. Two films!", "", " \n ", "Last one."] * (_BLOCK // 4 + 1)


@pytest.mark.parametrize("by_sentence", [True, False])
def test_pieces_make_the_texts_again(by_sentence: bool):
    documents = Documents(TEXTS, by_sentence=by_sentence)
    units, texts = documents.units.to_pylist(), []
    for starts, pieces in documents.blocks():
        for first, last, each in zip(starts[:-1], starts[1:], pieces, strict=True):
            assert list(each.sentences) == units[first:last]
            texts.append(each.join(each.sentences))
    assert texts == TEXTS and len(list(documents.blocks())) == 2
    assert len(units) == len(TEXTS) // 4 * (3 if by_sentence else 2)


def test_no_texts():
    documents = Documents([], by_sentence=True)
    assert len(documents.units) == 0 and list(documents.blocks()) == []


def test_half_a_surrogate_pair():
    with pytest.raises(CacheError, match="surrogate"):
        Documents(["fine", "\ud800"], by_sentence=False)
