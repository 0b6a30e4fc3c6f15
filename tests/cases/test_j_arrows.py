"""Case J: a text with arrows or with the names of special tokens is read as words by MarianMT."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MarianMTModel

sys.path.insert(0, str(Path(__file__).parents[1] / "translate"))  # the toy models lie beside their tests

from toy import END, train

from text_uda.translate import marian_checkpoint
from text_uda.translate.ctranslate2 import CTranslate2
from text_uda.translate.marian import Marian

SENTENCE = "the good film likes the old actor"


@pytest.fixture(scope="module")
def one_language(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = train(tmp_path_factory.mktemp("arrows") / "aa-bb", [(SENTENCE, SENTENCE)] * 4, steps=2, seed=0)
    model: Any = MarianMTModel.from_pretrained(folder)
    with torch.no_grad():  # the start token of a published model; CTranslate2 takes any for it
        model.get_input_embeddings().weight[model.config.decoder_start_token_id] = 0
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def two_languages(one_language: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same tokenizer with codes in the place of its last two words."""
    folder = tmp_path_factory.mktemp("codes") / "aa-xx"
    shutil.copytree(one_language, folder)
    vocabulary = json.loads((folder / "vocab.json").read_text())
    longest = sorted((word for word in vocabulary if word.startswith("▁XQ")), key=vocabulary.__getitem__)
    for word, code in zip(longest, (">>bb<<", ">>cc<<"), strict=True):
        vocabulary[code] = vocabulary.pop(word)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    return folder


def tokens(model: str, text: str) -> list[str]:
    vocabulary = marian_checkpoint.vocabulary(model)
    source = vocabulary.encode([text])[0]
    assert source.tokens[-1] == END and END not in source.tokens[:-1]
    return vocabulary.tokenizer.convert_ids_to_tokens(source.tokens[:-1])


@pytest.mark.parametrize(
    "text", [f">>> {SENTENCE} <<<", f">>{SENTENCE}<<", f">>bb<< {SENTENCE}", f"</s> {SENTENCE}", f"{SENTENCE} <pad>"]
)
def test_words_are_read_as_words(one_language: Path, two_languages: Path, text: str):
    words = "".join(tokens(str(one_language), SENTENCE))
    for model, code in ((str(one_language), []), (f"{two_languages}>>cc<<", [">>cc<<"])):
        read = tokens(model, text)
        assert read[: len(code)] == code
        assert words.removeprefix("▁the") in "".join(read)
        assert not {">>bb<<", "</s>", "<pad>", *code} & {*read[len(code) :]}


def test_a_plain_sentence_has_the_tokens_of_transformers(one_language: Path, two_languages: Path):
    for model, prefix in ((str(one_language), ""), (f"{two_languages}>>bb<<", ">>bb<< ")):
        vocabulary = marian_checkpoint.vocabulary(model)
        assert vocabulary.encode([SENTENCE])[0].tokens == vocabulary.tokenizer(prefix + SENTENCE)["input_ids"]


def test_other_words_between_arrows_have_another_translation(one_language: Path):
    sentences = [f">> {word} <<" for word in SENTENCE.split()[:3]]
    translations = Marian(str(one_language))(sentences, [0] * 3)
    assert len({translation.scores["log_probability"] for translation in translations}) == 3
    pytest.importorskip("ctranslate2")
    translations = CTranslate2(str(one_language), precision="float32")(sentences, [0] * 3)
    assert len({translation.scores["log_probability"] for translation in translations}) == 3
