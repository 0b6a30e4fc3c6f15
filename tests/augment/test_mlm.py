"""A masked language model's words: which are replaced, by what, with what left alone, and in any batch the same."""

import re
import shutil
import string
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BertTokenizer,
    DistilBertConfig,
    DistilBertForMaskedLM,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaTokenizer,
)

from text_uda.augment.mlm import MaskedLanguageModel, _encode, _Mask, _open_model, _paraphrase, _windows
from text_uda.augment.words import STOP_WORDS
from text_uda.errors import SettingsError

COLOURS, ANIMALS = ["red", "green", "blue", "orange"], ["dog", "cat", "horse", "ape"]
VERBS = ["runs", "sleeps", "jumps", "eats"]
WORDS = [*COLOURS, *ANIMALS, *VERBS, "not", "the", "a", "an", "and", "Paris"]
TEXT = "So the red dog runs, and\n\nthe green cat sleeps -- $3.50 at http://dog.cat/red (don't)\t"
SENTENCE = "so the red dog runs"


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several take a hundred times longer over tiny tensors
    yield
    torch.set_num_threads(threads)


def make_model(folder: Path, kind: str, *, steps: int = 0) -> str:
    """A tiny model of 64 positions, trained for `steps` on sentences such as `the red dog runs`."""
    tokenizer = _roberta_tokenizer() if kind == "roberta" else _bert_tokenizer()
    size = {"vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "distilbert":
            small = {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": 64}
            model = DistilBertForMaskedLM(DistilBertConfig(vocab_size=len(tokenizer), **small))
        elif kind == "roberta":
            model = RobertaForMaskedLM(RobertaConfig(**size, intermediate_size=64, max_position_embeddings=66))
        else:
            model = BertForMaskedLM(BertConfig(**size, intermediate_size=64, max_position_embeddings=64))
        _train(model, tokenizer, steps)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return str(folder)


def _train(model, tokenizer, steps: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    draw = np.random.default_rng(0)
    for _ in range(steps):
        texts = [f"so the {draw.choice(COLOURS)} {draw.choice(ANIMALS)} {draw.choice(VERBS)}" for _ in range(32)]
        labels = torch.tensor(tokenizer(texts)["input_ids"])
        masked = (torch.rand(labels.shape) < 0.3) & (torch.arange(labels.shape[1]) > 1)
        given = labels.masked_fill(masked, tokenizer.mask_token_id)
        model(given, labels=labels.masked_fill(~masked, -100)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def _bert_tokenizer() -> BertTokenizer:
    letters = [*string.ascii_letters, *string.digits]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.punctuation, *letters, *(f"##{x}" for x in letters)]
    return BertTokenizer(
        vocab={piece: index for index, piece in enumerate([*pieces, "so", *WORDS[:-4], "and", "Paris"])},
        do_lower_case=False,
    )


def _roberta_tokenizer() -> RobertaTokenizer:
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "Ġ", "Ċ", "ĉ", *map(chr, range(33, 127))]
    merges = []
    for word in ["so", *(f"Ġ{word}" for word in WORDS)]:
        for end in range(2, len(word) + 1):
            merges.append((word[: end - 1], word[end - 1]))
            pieces.append(word[:end])
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    return RobertaTokenizer(vocab=vocabulary, merges=list(dict.fromkeys(merges)))


@pytest.fixture(scope="module", params=["bert", "roberta", "distilbert"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp(request.param), request.param)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_the_words_are_those_that_the_context_asks_for(kind: str, tmp_path: Path):
    job = MaskedLanguageModel(model=make_model(tmp_path, kind, steps=60), rate=0.3, top_k=3)
    seen = set()
    for made in job([SENTENCE] * 60, range(60)):
        new = (made.text or "").split()[2:]
        assert all(word in fitting for word, fitting in zip(new, (COLOURS, ANIMALS, VERBS), strict=True))
        assert sum(a != b for a, b in zip(new, SENTENCE.split()[2:], strict=True)) == 1
        seen.update(new)
    assert len(seen) >= 11, "all of a kind, if with luck"


def test_bytes_outside_the_replaced_words_stay(model: str):
    old = "red dog runs green cat sleeps".split()
    pattern = re.escape(TEXT)
    for word in old:
        pattern = pattern.replace(word, r"(\w+)", 1)
    for made in MaskedLanguageModel(model=model, rate=1.0, top_k=50)([TEXT] * 20, range(20)):
        match = re.fullmatch(pattern, made.text or "")
        assert match is not None and made.status == "ok"
        assert made.scores["change_rate"] == pytest.approx(6 / 16)
        new = set(match.groups())
        assert not new & (STOP_WORDS | {"Paris"}), "no negation and no name"
        assert "roberta" in model or new <= set(WORDS), "no pieces that go on with a word"
        assert all(any(word.startswith(piece) for word in WORDS) for piece in new)
        assert all(was != new for was, new in zip(old, match.groups(), strict=True))


def test_articles_case_and_protected_words(tmp_path: Path):
    job = MaskedLanguageModel(model=make_model(tmp_path, "bert"), rate=1.0, top_k=50, protect=("dog", "blue"))
    animals = set()
    for made in job(["Sleeps. A cat and a dog"] * 60, range(60)):
        match = re.fullmatch(r"([A-Z]\w+)\. (An?) (\w+) and a dog", made.text or "")
        assert match is not None and (match[2] == "An") == (match[3] in ("ape", "orange", "eats"))
        assert not {match[1].lower(), match[3]} & {"dog", "blue"} and (match[1], match[3]) != ("Sleeps", "cat")
        animals.add(match[3])
    assert {"ape", "horse"} <= animals


def test_any_batch_and_order_make_the_same(model: str):
    job = MaskedLanguageModel(model=model, rate=0.4)
    texts = [TEXT, "a red cat", "", "the horse eats a blue ape and jumps " * 30, "x"]
    rows = [(text, sample) for text in texts for sample in range(4)]
    sources, samples = [text for text, _ in rows], [sample for _, sample in rows]
    together = job(sources, samples)
    assert [job([text], [sample])[0] for text, sample in reversed(rows)][::-1] == together
    assert len({made.text for made in together[:4]}) > 1
    assert MaskedLanguageModel(model=model, rate=0.4, seed=1)(sources, samples) != together


@pytest.mark.parametrize("text", ["", " \n", "?!", "the and not of", "http://dog.cat/red 3.50", "don't"])
def test_what_cannot_change_says_so(model: str, text: str):
    made = MaskedLanguageModel(model=model)([text], [0])[0]
    assert (made.text, made.status, made.scores) == (text, "unchanged", {"change_rate": 0.0})


def test_a_long_text_is_read_to_its_end_in_windows(model: str):
    text = f"{SENTENCE} " * 4000
    made = MaskedLanguageModel(model=model, rate=0.01)([text], [0])[0]
    changed = [old != new for old, new in zip(text.split(), (made.text or "").split(), strict=True)]
    assert sum(changed) == 120 and any(changed[:4000]) and any(changed[-4000:])
    opened, room = _open_model(model), 62
    read = _encode(text[:2000], opened, frozenset())
    masks = [_Mask(word, 0.5) for word in read.replaceable]
    windows = _windows(read, masks, opened, room)
    assert [mask for window in windows for mask in window.masks] == masks
    for window in windows:
        assert len(window.ids) == room + 2
        assert (window.ids[window.positions] == opened.tokenizer.mask_token_id).all()
    assert all(min(window.positions) > room // 4 for window in windows[1:])
    assert all(max(window.positions) <= 1 + 3 * room // 4 for window in windows[:-1])


def test_all_pieces_of_a_word_are_one_mask(model: str):
    opened = _open_model(model)
    encode, mask_id = opened.tokenizer, opened.tokenizer.mask_token_id
    read = _encode("so redcat runs", opened, frozenset())
    masks = [_Mask(read.replaceable[0], 0.5)]
    expected = [*encode("so")["input_ids"][:-1], mask_id, *encode(" runs")["input_ids"][1:]]
    assert [window.ids.tolist() for window in _windows(read, masks, opened, 62)] == [expected]
    assert _paraphrase("so redcat runs", read.words, masks, opened).status == "failed", "no token: no number came out"


def test_the_weights_name_the_settings_and_their_path_does_not(model: str, tmp_path: Path):
    settings = MaskedLanguageModel(model=model).settings()
    moved = shutil.copytree(model, tmp_path / Path(model).name)
    assert MaskedLanguageModel(model=str(moved)).settings() == settings
    assert settings["method"] == "mlm" and settings["revision"] and settings["unit"] == "text"


@pytest.mark.parametrize("lack", ["head", "tokenizer", "weights", "damaged", "everything"])
def test_what_is_no_masked_language_model_is_refused(lack: str, tmp_path: Path):
    model = make_model(tmp_path / "model", "bert")
    if lack == "head":
        BertModel.from_pretrained(model).save_pretrained(model)
    elif lack == "damaged":
        (tmp_path / "model" / "model.safetensors").write_bytes(b"no tensors")
    elif lack == "everything":
        model = str(tmp_path / "nothing")
    else:
        for path in (tmp_path / "model").glob("*token*" if lack == "tokenizer" else "*.safetensors"):
            path.unlink()
    with pytest.raises(SettingsError, match=r"name a (hub id|folder|masked|model)|name a folder or a hub id|beside"):
        MaskedLanguageModel(model=model)([SENTENCE], [0])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda weights: {name: w for name, w in weights.items() if "layer.0.output" not in name},
         "lack 4 of its weights .bert.encoder.layer.0.output"),
        (lambda weights: weights | {"bert.encoder.layer.1.output.dense.bias": weights["cls.predictions.bias"].clone()},
         "hold 1 weights that its config.json has no place for"),
        (lambda weights: weights | {"cls.predictions.bias": weights["cls.predictions.bias"] * torch.nan},
         "weights that are not finite numbers .cls.predictions"),
        (lambda weights: {name: w for name, w in weights.items() if not name.startswith("cls")}, "has no masked-lang"),
    ],
)  # fmt: skip
def test_weights_that_are_not_the_models(tmp_path: Path, change, match: str):
    model = make_model(tmp_path / "model", "bert")
    weights = load_file(tmp_path / "model" / "model.safetensors")
    save_file(change(weights), tmp_path / "model" / "model.safetensors", {"format": "pt"})
    with pytest.raises(SettingsError, match=match):
        MaskedLanguageModel(model=model)([SENTENCE], [0])


@pytest.mark.parametrize("wrong", ["rate=0", "rate=1.5", "top_k=0", "temperature=0", "precision='int8'", "protect='a'"])
def test_settings_out_of_range(wrong: str):
    name, _, value = wrong.partition("=")
    with pytest.raises(SettingsError, match=name):
        MaskedLanguageModel(**{name: value.strip("'") if "'" in value else float(value)})
