"""MarianMT checkpoints that an engine would not compute as they were trained: each is refused, with the reason."""

import json
from pathlib import Path

import pytest
import torch
from published import LAYOUTS, Layout, by_its_converter, publish

from text_uda import cache_dir
from text_uda.augment.back_translation import BackTranslation
from text_uda.errors import SettingsError
from text_uda.translate import Translator, ctranslate2_conversion
from text_uda.translate.ctranslate2 import CTranslate2
from text_uda.translate.marian import Marian
from translation_cache import checked_folder

SENTENCES = ["the film was good", "a bad actor", "this plot is great"]
pytestmark = pytest.mark.usefixtures("home")
ENGINES = [Marian, CTranslate2]


def refused(folder: Path, match: str, engine: type) -> None:
    translate: Translator = engine(str(folder))
    with pytest.raises(SettingsError, match=match) as error:
        translate(SENTENCES, [0] * 3)
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
        ("vocab_size", "many", "Validation error for field 'vocab_size': .*int.*str"),
    ],
)
def test_a_configuration_that_is_not_computed(engine: type, field: str, value, match: str, tmp_path: Path):
    folder = publish(tmp_path / "model", LAYOUTS["separate"])
    changed_config(folder, **{field: value})
    refused(folder, match, engine)


def changed_config(folder: Path, **fields) -> str:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))
    return str(folder)


@pytest.mark.parametrize("engine", ["marian", "ctranslate2"])
def test_what_is_refused_still_names_its_caches(engine: str, tmp_path: Path):
    """A cache that an earlier version filled can be read: whether a checkpoint can translate is asked when it does."""
    there = publish(tmp_path / "opus-mt-en-es", LAYOUTS["separate"])
    back = publish(tmp_path / "opus-mt-es-en", LAYOUTS["2020"])
    changed_config(there, share_encoder_decoder_embeddings=True)
    changed_config(back, normalize_embedding=True, activation_function="swiss")
    job = BackTranslation(translator=f"{engine}:{there},{back}")
    assert job.settings() and job.texts_language == "en"
    with pytest.raises(SettingsError, match="share_encoder_decoder_embeddings"):
        job(["the film was good"], [0])


def test_a_field_that_is_null_is_absent(tmp_path: Path):
    expected = Marian(str(publish(tmp_path / "absent", Layout(config={"activation_function": "swish"}))))
    folder = publish(tmp_path / "null", Layout(config={"activation_function": "swish"}))
    nothing = dict.fromkeys(("static_position_embeddings", "normalize_before", "normalize_embedding"))
    translate = Marian(changed_config(folder, **nothing))
    assert translate(SENTENCES, [0] * 3) == expected(SENTENCES, [0] * 3)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("file", "change", "match"),
    [
        (
            "vocab.json",
            lambda numbers: numbers | {"▁more": 99},
            "vocab.json of .* gives the token '▁more' the number 99",
        ),
        ("vocab.json", lambda numbers: numbers | {"▁more": -1}, "the number -1, and the weights have the rows 0 to "),
        ("vocab.json", lambda numbers: numbers | {"▁more": 2.0}, "the token '▁more' the number 2.0"),
        ("vocab.json", lambda numbers: numbers | {"▁more": None}, "the token '▁more' the number None"),
        ("vocab.json", lambda numbers: {token: str(n) for token, n in numbers.items()}, "the number '0', and"),
        ("target_vocab.json", lambda numbers: numbers | {"▁más": 99}, "target_vocab.json of .* '▁más' the number 99"),
        ("target_vocab.json", lambda numbers: numbers | {"<unk>": 2, "▁la": 1}, "the token <unk> different numbers"),
        ("target_vocab.json", lambda numbers: None, r"\(it lacks target_vocab.json\)"),
        ("source.spm", lambda content: None, r"\(it lacks source.spm\)"),
        ("tokenizer_config.json", lambda fields: {}, 'does not say "separate_vocabs": true'),
        ("tokenizer_config.json", lambda fields: fields | {"sp_model_kwargs": {"x": 1}}, "unexpected keyword argument"),
    ],
)
def test_vocabularies_that_do_not_belong_to_the_weights(engine: type, file: str, change, match: str, tmp_path: Path):
    folder = publish(tmp_path / "model", LAYOUTS["separate"])
    changed = change(json.loads((folder / file).read_text()) if file.endswith(".json") else None)
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
         "hold 1 weights that its config.json has no place for .model.encoder.layernorm_embedding.weight"),
        (lambda weights, path: weights | {"encoder.layernorm_embedding.weight": torch.ones(4)},
         "hold 1 weights .* .encoder.layernorm_embedding.weight"),
        (lambda weights, path: weights | {"lm_head.bias": torch.ones(4), "model.embed_proj.weight": torch.ones(4, 4)},
         "hold 2 weights .* .lm_head.bias, model.embed_proj.weight"),
        (lambda weights, path: {k: w for k, w in weights.items() if "decoder.layers.1.fc" not in k},
         "lack 4 of its weights"),
        (lambda weights, path: {k: w for k, w in weights.items() if k != "final_logits_bias"},
         "lack 1 of its weights .final_logits_bias"),
        (lambda weights, path: weights | {"final_logits_bias": torch.full((1, 3), 1.0)}, "cannot open the weights"),
        (lambda weights, path: weights | {"model.encoder.layers.0.fc1.bias": torch.full((48,), torch.nan)},
         "has weights that are not finite numbers .model.encoder.layers.0.fc1.bias"),
        (lambda weights, path: weights | {"final_logits_bias": weights["final_logits_bias"] * torch.nan},
         "has weights that are not finite numbers .final_logits_bias"),
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
def test_weights_outside_of_the_folder(engine: type, tmp_path: Path):
    """No digest covers them: they could change, and the caches keep their names."""
    folder = publish(tmp_path / "model", LAYOUTS["2020"])
    outside = (folder / "pytorch_model.bin").rename(tmp_path / "outside.bin")
    names = torch.load(outside, weights_only=True)
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "../outside.bin")}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    refused(folder, "pytorch_model.bin.index.json names ../outside.bin: its files have to be in the folder", engine)


def test_a_conversion_of_an_earlier_version_is_not_used(tmp_path: Path):
    """It was made without a check: of weights that are missing, it holds random ones."""
    folder = publish(tmp_path / "model", LAYOUTS["2020"])
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    kept = {name: weight for name, weight in weights.items() if "decoder.layers.1.fc" not in name}
    torch.save(kept, folder / "pytorch_model.bin")
    revision = CTranslate2(str(folder)).settings()["revision"]
    earlier = cache_dir.home() / "ctranslate2" / f"model-{revision}-int8"
    checked_folder.load_or_make(earlier, lambda unfinished: by_its_converter(folder, unfinished, "int8") and None)
    with pytest.raises(SettingsError, match="lack 4 of its weights"):
        CTranslate2(str(folder))(SENTENCES, [0] * 3)
    assert (earlier / "model.bin").exists()


@pytest.mark.parametrize(
    ("name", "replacement", "match"),
    [
        ("get_model_spec", None, "'NoneType' object is not callable"),
        ("_remove_pad_weights", ctranslate2_conversion.MarianMTLoader._remove_pad_weights, r"\d+ rows instead of"),
    ],
)
def test_a_release_of_ctranslate2_that_converts_otherwise(
    name: str, replacement, match: str, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(ctranslate2_conversion._Loader, name, replacement)
    folder = publish(tmp_path / "model", LAYOUTS["2020"])
    with pytest.raises(SettingsError, match=rf"CTranslate2 \d.* cannot convert .*{match}.*marian: instead"):
        CTranslate2(str(folder))(SENTENCES, [0] * 3)
