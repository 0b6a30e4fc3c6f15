"""Published MarianMT checkpoints of several years: both engines give the tokens of transformers, or say why not."""

import json
from pathlib import Path

import pytest
import torch
from published import FIELDS_OF_2020, LAYOUTS, Layout, publish
from transformers import GenerationConfig, MarianMTModel, MarianTokenizer

from text_uda.errors import SettingsError
from text_uda.translate import Translator, marian_checkpoint, source_language
from text_uda.translate.ctranslate2 import CTranslate2
from text_uda.translate.decoding import Decoding
from text_uda.translate.marian import Marian
from text_uda.translate.translator import Translation

SENTENCES = ["the film was good", "a bad actor", "this plot is great", "story", "not a scene", "that movie was long"]
BEAMS = 3


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXT_UDA_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Layout]:
    layout = LAYOUTS[request.param]
    return publish(tmp_path_factory.mktemp("published") / "opus-mt-en-es", layout), layout


@pytest.fixture
def tokens_beside_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A translation's text is followed by its tokens, so that a test sees both."""
    translation = marian_checkpoint.Vocabulary.translation

    def with_tokens(self, tokens: list[int], score: float, ended: bool, *, cut: bool) -> Translation:
        made = translation(self, tokens, score, ended, cut=cut)
        return Translation(f"{made.text} | {tokens}", "ok" if ended else "truncated", made.scores)

    monkeypatch.setattr(marian_checkpoint.Vocabulary, "translation", with_tokens)


def plain(translations: list[Translation]) -> list[Translation]:
    return [Translation(made.text, made.status) for made in translations]


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
def scores_by_transformers(folder: Path, code: str, sources: list[str], made: list[Translation]) -> list[float]:
    """The mean log-probability of the tokens of each translation."""
    (tokenizer, model), scores = opened(folder), []
    pad = model.config.pad_token_id
    for sentence, translation in zip(sources, made, strict=True):
        tokens = json.loads(translation.text.split(" | ")[1])
        source = tokenizer([f"{code} {sentence}"], return_tensors="pt")["input_ids"]
        logits = model(source, decoder_input_ids=torch.tensor([[pad, *tokens[:-1]]])).logits[0]
        logits[:, pad] = logits[0, 0] = -torch.inf  # CTranslate2 rules out an empty translation
        scores.append(float(logits.log_softmax(-1)[range(len(tokens)), tokens].mean()))
    return scores


@pytest.mark.parametrize("beams", [1, BEAMS], ids=["greedy", "beams"])
def test_both_engines_compute_what_transformers_does(layout: tuple[Path, Layout], beams: int, tokens_beside_text: None):
    """The tokens, greedily; with beams too, but CTranslate2 ends a search earlier: of its translations, the scores."""
    folder, kind = layout
    code = kind.languages[-1] if kind.languages else ""
    expected = [made for row in by_transformers(folder, code, beams) for made in row]
    assert len({made.text for made in expected}) > 0.7 * len(expected), "else it shows little"
    assert len({len(made.text.split()) for made in expected}) > 2
    sources, draws = [s for s in SENTENCES for _ in range(beams)], list(range(beams)) * len(SENTENCES)
    assert plain(Marian(f"{folder}{code}", Decoding(beams=beams))(sources, draws)) == expected
    found = CTranslate2(f"{folder}{code}", Decoding(beams=beams), "float32")(sources, draws)
    if beams == 1:
        assert plain(found) == expected
    scores = [made.scores["log_probability"] for made in found]
    assert scores == pytest.approx(scores_by_transformers(folder, code, sources, found), abs=1e-4)


def test_a_code_of_a_language_decides(tmp_path: Path):
    folder = publish(tmp_path / "opus-mt-en-ROMANCE", LAYOUTS["ROMANCE"])
    for kind in (Marian, CTranslate2):
        with pytest.raises(SettingsError, match=r"translates to 4 languages.*name one, such as .*>>es_419<<"):
            kind(str(folder))(SENTENCES, [0] * 6)
        with pytest.raises(SettingsError, match=r"does not translate to >>fra<<; it has >>fr<<"):
            kind(f"{folder}>>fra<<")(SENTENCES, [0] * 6)
        french, spanish = (kind(f"{folder}>>{code}<<")(SENTENCES, [0] * 6) for code in ("fr", "es_419"))
        assert french != spanish
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
        words = {word for draw in range(4) for made in translate(SENTENCES, [draw] * 6) for word in made.text.split()}
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


ENGINES = [Marian, CTranslate2]


def refused(folder: Path, match: str, engine: type) -> None:
    translate: Translator = engine(str(folder))
    with pytest.raises(SettingsError, match=match) as error:
        translate(SENTENCES, [0] * 6)
    assert str(folder) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("normalize_embedding", True, "trained with normalize_embedding=True, which transformers does not compute"),
        ("normalize_before", True, "trained with normalize_before=True"),
        ("add_final_layer_norm", True, "trained with add_final_layer_norm=True"),
        ("static_position_embeddings", False, "trained with static_position_embeddings=False"),
        ("activation_function", "swiss", "the activation 'swiss', which transformers does not know"),
        ("eos_token_id", [0, 1], r"eos_token_id=\[0, 1\]"),
        ("pad_token_id", 58100, "pad_token_id=58100"),
        ("decoder_start_token_id", -1, "decoder_start_token_id=-1"),
        ("pad_token_id", 5, "gives the token <pad> different numbers"),
        ("eos_token_id", 1, "gives the token </s> different numbers"),
        ("share_encoder_decoder_embeddings", True, "separate vocabularies, and its config.json says share"),
        ("model_type", "bart", "is a bart model, not a MarianMT one"),
    ],
)
def test_a_configuration_that_is_not_computed(engine: type, field: str, value, match: str, tmp_path: Path):
    folder = publish(tmp_path / "model", LAYOUTS["separate"])
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {field: value}))
    refused(folder, match, engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("file", "change", "match"),
    [
        ("vocab.json", lambda numbers: numbers | {"▁more": 99}, "vocab.json of .* numbers its tokens up to 99, and"),
        (
            "target_vocab.json",
            lambda numbers: numbers | {"▁más": 99},
            "target_vocab.json of .* up to 99, and the weights",
        ),
        ("target_vocab.json", lambda numbers: numbers | {"<unk>": 2, "▁la": 1}, "the token <unk> different numbers"),
        ("target_vocab.json", lambda numbers: None, "with separate vocabularies, target_vocab.json"),
        ("tokenizer_config.json", lambda fields: {}, 'does not say "separate_vocabs": true'),
    ],
)
def test_vocabularies_that_do_not_belong_to_the_weights(engine: type, file: str, change, match: str, tmp_path: Path):
    folder = publish(tmp_path / "model", LAYOUTS["separate"])
    changed = change(json.loads((folder / file).read_text()))
    (folder / file).unlink()
    if changed is not None:
        (folder / file).write_text(json.dumps(changed))
    refused(folder, match, engine)


class Payload:
    """An object whose unpickling would run a command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda weights, path: weights | {"model.encoder.layernorm_embedding.weight": torch.ones(4)},
         "hold 1 weights that MarianMT has no place for .model.encoder.layernorm_embedding.weight"),
        (lambda weights, path: {k: w for k, w in weights.items() if "decoder.layers.1.fc" not in k},
         "lack 4 of its weights"),
        (lambda weights, path: weights | {"final_logits_bias": torch.full((1, 3), 1.0)}, "cannot open the weights"),
        (lambda weights, path: weights | {"model.encoder.layers.0.fc1.bias": torch.full((48,), torch.nan)},
         "some are not finite numbers"),
        (lambda weights, path: weights | {"extra": Payload(path)}, "holds Python objects that are not tensors"),
    ],
)  # fmt: skip
def test_weights_that_are_not_the_models(engine: type, change, match: str, tmp_path: Path):
    folder = publish(tmp_path / "model", LAYOUTS["2020"])
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    torch.save(change(weights, tmp_path / "executed"), folder / "pytorch_model.bin")
    refused(folder, match, engine)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("engine", ENGINES)
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
