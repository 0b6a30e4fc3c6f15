"""A folder that lacks files of an encoder, or whose files do not belong together, never gives another encoder."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from text_uda.errors import SettingsError
from text_uda.model.encoder_files import load_tokenizer
from text_uda.model.pretrained import load_classifier


@pytest.fixture
def copy(tiny_bert: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_bert, tmp_path / "encoder")


def change_config(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_weights_without_a_place_are_refused(copy: Path):
    change_config(copy, num_hidden_layers=1)
    with pytest.raises(SettingsError, match=r"hold 16 weights that its config\.json has no place for \(.*layer\.1"):
        load_classifier(str(copy), ["a", "b"], seed=0)


def test_weights_that_are_missing_are_refused(copy: Path):
    weights = load_file(copy / "model.safetensors")
    save_file({name: one for name, one in weights.items() if "layer.1" not in name}, copy / "model.safetensors")
    with pytest.raises(SettingsError, match=r"lack 16 of its weights"):
        load_classifier(str(copy), ["a", "b"], seed=0)


def test_heads_and_indices_of_other_versions_are_no_weights_of_the_encoder(copy: Path):
    weights = load_file(copy / "model.safetensors")
    others = {"cls.predictions.bias": weights["embeddings.LayerNorm.bias"].clone()}
    others["embeddings.position_ids"] = weights["embeddings.LayerNorm.bias"].clone()
    others["embeddings.word_embeddings._weight"] = weights["embeddings.LayerNorm.bias"].clone()
    save_file(weights | others, copy / "model.safetensors", {"format": "pt"})
    load_classifier(str(copy), ["a", "b"], seed=0)


def test_a_tokenizer_without_its_vocabulary_is_refused(copy: Path):
    (copy / "tokenizer.json").unlink()
    with pytest.raises(SettingsError, match="has no vocabulary"):
        load_tokenizer(str(copy))


def test_a_tokenizer_without_its_merges_is_refused(copy: Path):
    (copy / "tokenizer.json").rename(copy / "vocab.json")
    (copy / "vocab.txt").write_text("[UNK]\n[PAD]\n[CLS]\n[SEP]\n[MASK]\na\n")
    with pytest.raises(SettingsError, match=r"incomplete: vocab\.json is there, and neither merges\.txt"):
        load_tokenizer(str(copy))


def test_a_tokenizer_without_its_configuration_is_warned_of(copy: Path, caplog: pytest.LogCaptureFixture):
    load_tokenizer(str(copy))
    assert not caplog.text
    (copy / "tokenizer_config.json").unlink()
    load_tokenizer(str(copy))
    assert "has no tokenizer_config.json: whether its tokenizer lowers the case" in caplog.text


@pytest.mark.parametrize("name", ["../outside.safetensors", "shards/1.safetensors"])
def test_weights_outside_of_the_folder_are_refused(copy: Path, name: str):
    """No digest of the folder covers them."""
    weights = load_file(copy / "model.safetensors")
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / "model.safetensors").rename(copy / name)
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, name)}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(SettingsError, match=rf"index\.json names {name}: its files have to be in the folder itself"):
        load_classifier(str(copy), ["a", "b"], seed=0)


def test_a_field_of_another_type_is_named_with_its_fault(copy: Path):
    change_config(copy, vocab_size="many")
    with pytest.raises(SettingsError, match=r"field 'vocab_size': .*'many'"):
        load_classifier(str(copy), ["a", "b"], seed=0)
