"""MarianMT on a tiny random model: the same tokens in every batch, whatever the text; errors that say what to do."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.model import checkpoint_identity
from text_uda.translate import marian, marian_checkpoint
from text_uda.translate.batching import Budget
from text_uda.translate.decoding import Decoding
from text_uda.translate.device import WorkerShare
from text_uda.translate.marian import Marian
from text_uda.translate.translator import Translation

WORDS = "the film was good and story long a bad actor in scene of this movie is great but that plot not".split()
SENTENCES = [" ".join(WORDS[(3 * n + at * at) % len(WORDS)] for at in range(1 + n % 9)) for n in range(32)]
STRANGE = [
    "",
    "   ",
    "\t\n \u2028",
    "\x00",
    "a\x00film\x07",
    "half a pair \ud800 here",
    "\udfff",
    "плохой фильм",
    "这部电影很好",
    "🙂",
    "a film 🙂🙂 <b> >>fr<< </s> <pad>",
    "́",
    "x" * 400,
]
DECODINGS = [Decoding(), Decoding(temperature=0.9)]


@pytest.fixture
def budget(tiny_marian: Path) -> Iterator[Budget]:
    """The model's own, which lives as long as the process: put back as it was."""
    found = marian_checkpoint.network(str(tiny_marian), WorkerShare().torch_device(), "float32")[1]
    before = found.max_tokens
    yield found
    found.max_tokens = before


def same(found: list[Translation], expected: list[Translation]) -> None:
    assert [(made.text, made.status) for made in found] == [(made.text, made.status) for made in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-4)


@pytest.mark.parametrize("decoding", DECODINGS, ids=["greedy", "sampled"])
@pytest.mark.parametrize("rows", [1, 5, 32])
def test_a_translation_does_not_depend_on_its_batch(tiny_marian: Path, budget: Budget, decoding: Decoding, rows: int):
    translate = Marian(str(tiny_marian), decoding)
    draws = [n % 3 for n in range(len(SENTENCES))]
    alone = [translate([sentence], [draw])[0] for sentence, draw in zip(SENTENCES, draws, strict=True)]
    longest = max(len(source.tokens) for source in marian_checkpoint.vocabulary(str(tiny_marian)).encode(SENTENCES))
    budget.max_tokens = longest * rows
    same(translate(SENTENCES, draws), alone)
    same(translate(SENTENCES[::-1], draws[::-1])[::-1], alone)
    mixed = [(7 * n) % 32 for n in range(32)]
    same(translate([SENTENCES[n] for n in mixed], [draws[n] for n in mixed]), [alone[n] for n in mixed])


def test_samples_seeds_and_temperatures_differ(tiny_marian: Path):
    def made(draw: int, **decoding) -> list[Translation]:
        return Marian(str(tiny_marian), Decoding(**decoding))(SENTENCES, [draw] * len(SENTENCES))

    found = [
        made(0, temperature=0.9),
        made(1, temperature=0.9),
        made(0, temperature=0.9, seed=1),
        made(0, temperature=0.6),
        made(0, temperature=0.9, top_k=3),
        made(0, temperature=0.9, top_p=0.5),
        made(0),
    ]
    assert len({tuple(translation.text for translation in row) for row in found}) == len(found)
    assert found[0] == made(0, temperature=0.9)
    assert made(1) == found[-1], "greedy has one draw"


def test_draws_of_a_sentence_are_told_apart(tiny_marian: Path):
    sampling = Marian(str(tiny_marian), Decoding(temperature=0.9))
    together = sampling([SENTENCES[5]] * 4 + [SENTENCES[6]], [3, 0, 1, 3, 0])
    same([together[0]], [together[3]])  # tokens are the same; a score's last bits are the place's in the batch
    assert len({made.text for made in together[:3]}) == 3
    same([together[1]], sampling([SENTENCES[5]], [0]))
    assert sampling.draws is None and Marian(str(tiny_marian)).draws == 1
    beams = Marian(str(tiny_marian), Decoding(beams=3))
    best = beams([SENTENCES[5]] * 3, [0, 1, 2])
    assert beams.draws == 3 and len({made.text for made in best}) == 3
    same([best[1]], beams([SENTENCES[5]], [1]))


def test_the_checkpoints_own_generation_settings_do_not_reach_us(tiny_marian: Path):
    """It asks for six beams of five tokens. Against a loop without a cache that knows nothing of ours."""
    from transformers import MarianMTModel

    model = MarianMTModel.from_pretrained(tiny_marian).eval()
    vocabulary = marian_checkpoint.vocabulary(str(tiny_marian))
    few = SENTENCES[:6]
    for source, made in zip(vocabulary.encode(few), Marian(str(tiny_marian))(few, [0] * 6), strict=True):
        target = [model.config.decoder_start_token_id]
        cap = marian_checkpoint.most_tokens(len(source.tokens), 512)
        while target[-1] != model.config.eos_token_id and len(target) <= cap:
            with torch.no_grad():
                logits = model(torch.tensor([source.tokens]), decoder_input_ids=torch.tensor([target])).logits[0, -1]
            logits[model.config.pad_token_id] = -torch.inf
            target.append(int(logits.argmax()))
        assert made.text == vocabulary.decode(target[1:])
        assert made.status == ("ok" if target[-1] == model.config.eos_token_id else "truncated")


def test_settings_name_the_weights_and_everything_set(tiny_marian: Path, tmp_path: Path):
    settings = Marian(str(tiny_marian)).settings()
    assert settings["engine"] == "marian" and settings["revision"] and settings["precision"] == "float32"
    assert not {"temperature", "seed", "top_k", "top_p"} & set(settings)
    given = {"temperature": 0.8, "top_k": 7, "top_p": 0.9, "seed": 2}
    assert Marian(str(tiny_marian), Decoding(**given), "int8").settings().items() >= given.items()
    assert Marian(str(tiny_marian), Decoding(), "int8").settings()["precision"] == "int8"
    assert Marian(str(tiny_marian), Decoding(beams=4)).settings()["beams"] == 4
    copy = shutil.copytree(tiny_marian, tmp_path / tiny_marian.name)
    assert Marian(str(copy)).settings() == settings, "where a folder lies decides nothing"
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:-4] + b"\0\0\0\1")
    checkpoint_identity._digest.cache_clear()
    assert Marian(str(copy)).settings()["revision"] != settings["revision"]


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("decoding", [*DECODINGS, Decoding(beams=2)], ids=["greedy", "sampled", "beams"])
def test_strange_texts_have_one_translation_each(tiny_marian: Path, decoding: Decoding, precision):
    translate = Marian(str(tiny_marian), decoding, precision)
    between = [text for strange in STRANGE for text in (strange, SENTENCES[3])]
    found = translate(between, [0] * len(between))
    assert len(found) == len(between)
    assert [made.status for made in found[:8:2]] == ["empty"] * 4 and found[0] == Translation("", "empty")
    assert all(made.status in ("ok", "truncated", "failed") and made.scores for made in found[8::2])
    good = translate([SENTENCES[3]], [0])
    for made in found[1::2]:
        same([made], good)
    for made in found:
        made.text.encode("utf-8")
        assert "\x00" not in made.text


def test_nothing_to_translate(tiny_marian: Path):
    assert Marian(str(tiny_marian))([], []) == []
    assert Marian(str(tiny_marian))(["", " "], [0, 5]) == [Translation("", "empty")] * 2


def test_a_text_longer_than_the_model_reads_is_told(tiny_marian: Path):
    made = Marian(str(tiny_marian))(["film " * 700, "film"], [0, 0])
    assert made[0].status == "truncated" and made[0].scores


def with_memory_for(rows: int, seen: list[int]):
    decode = marian.decode

    def scarce(network, sources, asked, *others, **named):
        if len(asked) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")
        seen.append(len(asked))
        return decode(network, sources, asked, *others, **named)

    return scarce


@pytest.mark.parametrize("decoding", DECODINGS, ids=["greedy", "sampled"])
def test_a_batch_that_does_not_fit_is_halved(
    tiny_marian: Path, budget: Budget, decoding: Decoding, monkeypatch: pytest.MonkeyPatch
):
    translate = Marian(str(tiny_marian), decoding)
    undisturbed, before = translate(SENTENCES, [0] * 32), budget.max_tokens
    seen: list[int] = []
    monkeypatch.setattr(marian, "decode", with_memory_for(2, seen))
    same(translate(SENTENCES, [0] * 32), undisturbed)
    assert max(seen) == 2 and budget.max_tokens < before
    lowered = budget.max_tokens
    same(translate(SENTENCES, [0] * 32), undisturbed)
    assert budget.max_tokens == lowered, "what fits is known by now"


def test_one_sentence_that_does_not_fit(tiny_marian: Path, budget: Budget, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(marian, "decode", with_memory_for(0, []))
    with pytest.raises(SettingsError, match="no memory for one sentence") as error:
        Marian(str(tiny_marian))(SENTENCES, [0] * 32)
    assert "\n" not in str(error.value)


def test_another_error_is_not_taken_for_that(tiny_marian: Path, budget: Budget, monkeypatch: pytest.MonkeyPatch):
    def broken(*_, **__):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(marian, "decode", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        Marian(str(tiny_marian))(SENTENCES, [0] * 32)


@pytest.mark.parametrize("decoding", [*DECODINGS, Decoding(beams=2)], ids=["greedy", "sampled", "beams"])
def test_weights_that_are_not_numbers(tiny_marian: Path, tmp_path: Path, decoding: Decoding):
    from transformers import MarianMTModel

    copy = shutil.copytree(tiny_marian, tmp_path / "nan")
    model = MarianMTModel.from_pretrained(copy)
    model.model.decoder.layers[0].fc1.weight.data[0, 0] = torch.nan
    model.save_pretrained(copy)
    with pytest.raises(SettingsError, match="has weights that are not finite numbers"):
        Marian(str(copy), decoding)(["", *SENTENCES[:4]], [0] * 5)


@pytest.mark.parametrize("part", ["source.spm", "target.spm", "vocab.json", "config.json", "model.safetensors"])
def test_a_folder_that_is_not_whole(tiny_marian: Path, tmp_path: Path, part: str):
    copy = shutil.copytree(tiny_marian, tmp_path / f"without-{part}")
    (copy / part).unlink()
    with pytest.raises(SettingsError, match="MarianMT model") as error:
        Marian(str(copy))(["a"], [0])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("part", ["source.spm", "vocab.json", "config.json", "model.safetensors"])
def test_a_folder_that_is_damaged(tiny_marian: Path, tmp_path: Path, part: str):
    copy = shutil.copytree(tiny_marian, tmp_path / f"damaged-{part}")
    (copy / part).write_bytes(b"\x07 no such format\n" * 5)
    with pytest.raises(SettingsError, match="MarianMT model") as error:
        Marian(str(copy))(["a"], [0])
    assert "\n" not in str(error.value)


def test_a_folder_that_is_not_there(tiny_marian: Path, tmp_path: Path):
    sibling = shutil.copytree(tiny_marian, tmp_path / "opus-mt-en-de")
    with pytest.raises(SettingsError, match=r"cannot open the .* of the MarianMT model") as error:
        Marian(str(tmp_path / "opus-mt-en-dee"))(["a"], [0])
    assert f"did you mean {sibling}?" in str(error.value) and "\n" not in str(error.value)


def test_another_kind_of_model(tiny_bert: Path):
    with pytest.raises(SettingsError):
        Marian(str(tiny_bert))(["a"], [0])


def test_a_precision_that_does_not_exist():
    with pytest.raises(SettingsError, match="float32, bfloat16, float16, int8"):
        Marian("any", Decoding(), "float64")  # type: ignore[arg-type]


def test_a_language_of_a_model_of_one(tiny_marian: Path):
    with pytest.raises(SettingsError, match="does not translate to >>xx<<; it has one language"):
        Marian(f"{tiny_marian}>>xx<<")(["a"], [0])


def test_it_says_what_transformers_says(tiny_marian: Path):
    """From text to text, with the ids as the tokenizer gives them; the checkpoint asks for six beams of five tokens."""
    from transformers import GenerationConfig, MarianMTModel, MarianTokenizer

    tokenizer, model = MarianTokenizer.from_pretrained(tiny_marian), MarianMTModel.from_pretrained(tiny_marian)
    pad, end = model.config.pad_token_id, model.config.eos_token_id
    for sentence, made in zip(SENTENCES, Marian(str(tiny_marian))(SENTENCES, [0] * len(SENTENCES)), strict=True):
        source = tokenizer([sentence], return_tensors="pt")
        length = source["input_ids"].shape[1]
        assert (
            marian_checkpoint.vocabulary(str(tiny_marian)).encode([sentence])[0].tokens
            == source["input_ids"][0].tolist()
        )
        cap = marian_checkpoint.most_tokens(length, 512)
        config = GenerationConfig(  # one token more than ours: on the last one the checkpoint forces an end
            max_new_tokens=cap + 1, num_beams=1, do_sample=False, pad_token_id=pad,
            eos_token_id=end, decoder_start_token_id=pad, bad_words_ids=[[pad]],
        )  # fmt: skip
        output = model.generate(**source, generation_config=config)[0, 1 : cap + 1]
        assert made.text == tokenizer.decode(output, skip_special_tokens=True).strip()
