"""Published MarianMT checkpoints of several years: both engines give the tokens of transformers, or say why not."""

import json
from pathlib import Path

import pytest
import torch
from published import FIELDS_OF_2020, LAYOUTS, Layout, by_its_converter, publish
from transformers import GenerationConfig, MarianMTModel, MarianTokenizer

from text_uda.errors import SettingsError
from text_uda.translate import Translator, marian_checkpoint, source_language
from text_uda.translate.ctranslate2 import CTranslate2, Precision
from text_uda.translate.decoding import Decoding
from text_uda.translate.marian import Marian
from text_uda.translate.translator import Translation

SENTENCES = ["the film was good", "a bad actor", "this plot is great", "story", "not a scene", "that movie was long"]
BEAMS = 3
pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Layout]:
    layout = LAYOUTS[request.param]
    return publish(tmp_path_factory.mktemp("published") / "opus-mt-en-es", layout), layout


@pytest.fixture
def tokens_beside_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A translation's text is followed by its tokens, so that a test sees both."""
    translation = marian_checkpoint.Vocabulary.translation

    def with_tokens(self, tokens: list[int], score: float, ended: bool, *, cut: bool) -> Translation:
        decoded = translation(self, tokens, score, ended, cut=cut)
        return Translation(f"{decoded.text} | {tokens}", "ok" if ended else "truncated", decoded.scores)

    monkeypatch.setattr(marian_checkpoint.Vocabulary, "translation", with_tokens)


def plain(translations: list[Translation]) -> list[Translation]:
    return [Translation(translation.text, translation.status) for translation in translations]


def greedily(translator: Translator) -> list[Translation]:
    return plain(translator(SENTENCES, [0] * len(SENTENCES)))


def opened(folder: Path) -> tuple[MarianTokenizer, MarianMTModel]:
    return MarianTokenizer.from_pretrained(folder), MarianMTModel.from_pretrained(folder, dtype=torch.float32).eval()


def by_transformers(
    folder: Path, code: str = "", beams: int = 1, forbidden: tuple[int, ...] = ()
) -> list[list[Translation]]:
    """The best translations of each sentence, as a user of transformers gets them with the same beams."""
    tokenizer, model = opened(folder)
    pad = model.config.pad_token_id
    model.generation_config = GenerationConfig(decoder_start_token_id=pad, pad_token_id=pad, eos_token_id=0)
    translations = []
    for sentence in SENTENCES:
        source = tokenizer([f"{code} {sentence}"], return_tensors="pt")
        cap = marian_checkpoint.most_tokens(source["input_ids"].shape[1], model.config.max_position_embeddings)
        outputs = model.generate(
            **source, max_new_tokens=cap, num_beams=beams, num_return_sequences=beams, do_sample=False,
            bad_words_ids=[[token] for token in (pad, *forbidden)], length_penalty=1.0, early_stopping=False,
        )[:, 1:].tolist()  # fmt: skip
        translations.append([])
        for row in outputs:
            tokens = row[: row.index(0) + 1] if 0 in row else [token for token in row if token != pad]
            text = tokenizer.decode(tokens, skip_special_tokens=True).strip()
            translations[-1].append(Translation(f"{text} | {tokens}", "ok" if 0 in row else "truncated"))
    return translations


@torch.no_grad()
def scores_by_transformers(folder: Path, code: str, sources: list[str], translations: list[Translation]) -> list[float]:
    """The mean log-probability of the tokens of each translation."""
    (tokenizer, model), scores = opened(folder), []
    pad = model.config.pad_token_id
    for sentence, translation in zip(sources, translations, strict=True):
        tokens = json.loads(translation.text.split(" | ")[1])
        source = tokenizer([f"{code} {sentence}"], return_tensors="pt")["input_ids"]
        logits = model(source, decoder_input_ids=torch.tensor([[pad, *tokens[:-1]]])).logits[0]
        logits[:, pad] = logits[0, 0] = -torch.inf  # CTranslate2 rules out an empty translation
        scores.append(float(logits.log_softmax(-1)[range(len(tokens)), tokens].mean()))
    return scores


@pytest.mark.parametrize("beams", [1, BEAMS], ids=["greedy", "beams"])
def test_both_engines_compute_what_transformers_does(layout: tuple[Path, Layout], beams: int, tokens_beside_text: None):
    """The tokens, greedily; with beams too, but CTranslate2 ends a search earlier, which seldom changes the best."""
    folder, kind = layout
    code = kind.languages[-1] if kind.languages else ""
    expected = [translation for row in by_transformers(folder, code, beams) for translation in row]
    assert len({translation.text for translation in expected}) > 0.7 * len(expected), "else it shows little"
    assert len({len(translation.text.split()) for translation in expected}) > 2
    sources, draws = [s for s in SENTENCES for _ in range(beams)], list(range(beams)) * len(SENTENCES)
    assert plain(Marian(f"{folder}{code}", Decoding(beams=beams))(sources, draws)) == expected
    of_ctranslate2 = CTranslate2(f"{folder}{code}", Decoding(beams=beams), "float32")(sources, draws)
    scores = [translation.scores["log_probability"] for translation in of_ctranslate2]
    assert scores == pytest.approx(scores_by_transformers(folder, code, sources, of_ctranslate2), abs=1e-4)
    if beams == 1:
        assert plain(of_ctranslate2) == expected
        return
    best, expected_best = plain(of_ctranslate2[::beams]), expected[::beams]
    assert sum(map(Translation.__eq__, best, expected_best)) >= len(SENTENCES) - 1
    expected_scores = scores_by_transformers(folder, code, SENTENCES, expected_best)
    assert all(score > of_best - 0.1 for score, of_best in zip(scores[::beams], expected_scores, strict=True))


@pytest.mark.parametrize("beams", [1, BEAMS], ids=["greedy", "beams"])
def test_an_empty_translation(tmp_path: Path, beams: int, tokens_beside_text: None):
    """CTranslate2 never ends at the first token, where transformers and `marian:` do."""

    def change(model: MarianMTModel) -> None:
        model.final_logits_bias[0, 0] = 30.0

    folder = str(publish(tmp_path / "model", LAYOUTS["2020"], change))
    expected = [Translation(" | [0]", "ok")] * len(SENTENCES)
    assert [row[0] for row in by_transformers(Path(folder), "", beams)] == expected
    draws = [0] * len(SENTENCES)
    assert plain(Marian(folder, Decoding(beams=beams))(SENTENCES, draws)) == expected
    for translation in CTranslate2(folder, Decoding(beams=beams), "float32")(SENTENCES, draws):
        text, _, tokens = translation.text.partition(" | ")
        assert text and len(json.loads(tokens)) == 2


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_one_vocabulary_is_converted_to_the_bytes_of_its_converter(
    layout: tuple[Path, Layout], precision: Precision, tmp_path: Path
):
    """So what a cache has of an earlier version is what this one would translate, in float16 too."""
    folder, kind = layout
    if kind.extra_targets is not None:
        pytest.skip("its converter knows one vocabulary")
    code = kind.languages[-1] if kind.languages else ""
    converted = CTranslate2(f"{folder}{code}", Decoding(), precision)._folder()
    assert (converted / "model.bin").read_bytes() == by_its_converter(folder, tmp_path / "by_its_converter", precision)


def test_a_code_of_a_language_decides(tmp_path: Path):
    folder = publish(tmp_path / "opus-mt-en-ROMANCE", LAYOUTS["ROMANCE"])
    for kind in (Marian, CTranslate2):
        with pytest.raises(SettingsError, match=r"translates to 4 languages.*name one, such as .*>>es_419<<"):
            kind(str(folder))(SENTENCES, [0] * 6)
        with pytest.raises(SettingsError, match=r"does not translate to >>fra<<; it has >>fr<<"):
            kind(f"{folder}>>fra<<")(SENTENCES, [0] * 6)
        french, spanish = (kind(f"{folder}>>{code}<<")(SENTENCES, [0] * 6) for code in ("fr", "es_419"))
        assert [translation.text for translation in french] != [translation.text for translation in spanish]
    settings = Marian(f"{folder}>>fr<<").settings()
    assert settings["language"] == ">>fr<<" and settings["model"] == "opus-mt-en-ROMANCE"
    assert source_language(Marian(f"{folder}>>fr<<")) == "en"


def test_separate_vocabularies_are_sampled(tmp_path: Path):
    folder = publish(tmp_path / "separate", LAYOUTS["separate"])
    source, target = (json.loads((folder / name).read_text()) for name in ("vocab.json", "target_vocab.json"))
    only_source = {piece.strip("▁") for piece in set(source) - set(target) if len(piece) > 3}
    for translate in (
        Marian(str(folder), Decoding(temperature=0.9)),
        CTranslate2(str(folder), Decoding(temperature=0.9)),
    ):
        translations = [translation for draw in range(4) for translation in translate(SENTENCES, [draw] * 6)]
        words = {word for translation in translations for word in translation.text.split()}
        assert len(words) > 10 and not words & only_source


@pytest.mark.parametrize("activation", ["gelu", "relu", "silu", "gelu_pytorch_tanh", "quick_gelu"])
def test_activations_that_both_engines_have(tmp_path: Path, activation: str, tokens_beside_text: None):
    folder = publish(tmp_path / "model", Layout(config=FIELDS_OF_2020 | {"activation_function": activation}))
    expected = [row[0] for row in by_transformers(folder)]
    assert greedily(Marian(str(folder))) == expected
    assert greedily(CTranslate2(str(folder), Decoding(), "float32")) == expected


@pytest.mark.parametrize("activation", ["tanh", "relu6", "prelu"])
def test_an_activation_that_ctranslate2_lacks(tmp_path: Path, activation: str, tokens_beside_text: None):
    folder = publish(tmp_path / "model", Layout(config=FIELDS_OF_2020 | {"activation_function": activation}))
    assert greedily(Marian(str(folder))) == [row[0] for row in by_transformers(folder)]
    with pytest.raises(SettingsError, match=rf"lacks the activation '{activation}'.*marian: instead"):
        CTranslate2(str(folder))(SENTENCES, [0] * 6)


def test_other_heads_in_the_decoder(tmp_path: Path, tokens_beside_text: None):
    config = FIELDS_OF_2020 | {"activation_function": "swish", "decoder_attention_heads": 2}
    folder = publish(tmp_path / "model", Layout(config=config))
    assert greedily(Marian(str(folder))) == [row[0] for row in by_transformers(folder)]
    with pytest.raises(SettingsError, match="4 attention heads in its encoder and 2 in its decoder"):
        CTranslate2(str(folder))(SENTENCES, [0] * 6)


def test_a_first_token_that_is_not_zero(tmp_path: Path, tokens_beside_text: None):
    def change(model: MarianMTModel) -> None:
        model.model.shared.weight.data[model.config.pad_token_id] = 1.0

    folder = publish(tmp_path / "model", Layout(config=FIELDS_OF_2020), change)
    assert greedily(Marian(str(folder))) == [row[0] for row in by_transformers(folder)]
    with pytest.raises(SettingsError, match="starts a translation with a token whose vector is not zero"):
        CTranslate2(str(folder))(SENTENCES, [0] * 6)


@pytest.mark.parametrize("engine", [Marian, CTranslate2])
def test_more_rows_than_tokens(engine: type, tmp_path: Path, tokens_beside_text: None):
    """Tables whose size was rounded up: a row without a token is never output, which transformers cannot read."""

    def change(model: MarianMTModel) -> None:
        model.final_logits_bias[0, last] = 9.0

    folder = publish(tmp_path / "first", LAYOUTS["2020"])
    vocabulary = json.loads((folder / "vocab.json").read_text())
    last = len(vocabulary) - 2
    folder = publish(tmp_path / "model", LAYOUTS["2020"], change)
    (folder / "vocab.json").write_text(json.dumps({name: n for name, n in vocabulary.items() if n != last}))
    expected = [row[0] for row in by_transformers(folder, forbidden=(last,))]
    options = {} if engine is Marian else {"precision": "float32"}
    assert greedily(engine(str(folder), **options)) == expected
