"""Folders of encoders that lack something, or hold what is not to be read: one error that names it, before any step."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, BertTokenizer

from text_uda.cli.app import main
from text_uda.errors import SettingsError
from text_uda.model.encoder_content import encoder_digest
from text_uda.model.pretrained import load_classifier, load_masked_language_model, load_tokenizer

CLASSES = ("bad", "good")


@pytest.fixture
def encoder(tiny_bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "encoder"))


def set_config(encoder: Path, **fields: object) -> None:
    path = encoder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def without_tokenizer(encoder: Path) -> None:
    for path in encoder.glob("*token*"):
        path.unlink()


def without_vocabulary(encoder: Path) -> None:
    """The configuration of the tokenizer is there, the vocabulary is not."""
    (encoder / "tokenizer.json").unlink()


def with_an_object(encoder: Path) -> None:
    (encoder / "model.safetensors").unlink()
    torch.save({"weights": SimpleNamespace(a=1)}, encoder / "pytorch_model.bin")


def with_a_damaged_bin(encoder: Path) -> None:
    (encoder / "model.safetensors").unlink()
    (encoder / "pytorch_model.bin").write_bytes(b"no zip file" * 9)


def cut_short(encoder: Path) -> None:
    path = encoder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def of_another_framework(encoder: Path) -> None:
    (encoder / "model.safetensors").unlink()
    (encoder / "flax_model.msgpack").write_bytes(b"")


def without_weights(encoder: Path) -> None:
    (encoder / "model.safetensors").unlink()


def with_code(encoder: Path) -> None:
    set_config(encoder, model_type="ours", auto_map={"AutoConfig": "ours.Config"})
    (encoder / "ours.py").write_text("raise SystemExit('this code was run')\n")


def of_another_type(encoder: Path) -> None:
    set_config(encoder, model_type="distilbert")


def of_another_size(encoder: Path) -> None:
    set_config(encoder, hidden_size=64)


def not_finite(encoder: Path) -> None:
    weights = load_file(encoder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][3, 1] = torch.nan
    save_file(weights, encoder / "model.safetensors", metadata={"format": "pt"})


def with_more_words(encoder: Path) -> None:
    words = AutoTokenizer.from_pretrained(encoder).get_vocab()
    BertTokenizer(vocab=words | {"unheard": len(words)}).save_pretrained(encoder)


CASES: list[tuple[Callable[[Path], None], str]] = [
    (without_tokenizer, r"has no vocabulary: its files lack the tokenizer"),
    (without_vocabulary, r"has no vocabulary: its files lack the tokenizer"),
    (with_an_object, r"pytorch_model\.bin is damaged, or holds Python objects.*model\.safetensors"),
    (with_a_damaged_bin, r"pytorch_model\.bin is damaged.*download it again"),
    (cut_short, r"its weights are damaged: .*download it again"),
    (of_another_framework, r"its weights are of Flax only"),
    (without_weights, r"neither model\.safetensors nor pytorch_model\.bin"),
    (with_code, r"needs Python code from its own folder, which is never run"),
    (of_another_type, r"lack \d+ of its weights \(distilbert\..*not of a 'distilbert' model"),
    (of_another_size, r"other sizes than its config\.json says"),
    (not_finite, r"not finite numbers \(bert\.embeddings\.word_embeddings\.weight\)"),
    (with_more_words, r"its tokenizer has \d+ tokens, its model \d+"),
]


@pytest.mark.parametrize(("damage", "message"), CASES, ids=[damage.__name__ for damage, _ in CASES])
def test_a_folder_that_cannot_be_used_is_refused(damage, message, encoder):
    damage(encoder)
    with pytest.raises(SettingsError, match=message) as error:
        load_classifier(str(encoder), CLASSES, seed=0)
    assert str(encoder) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["{folder}/missing", "{folder}/no/one", "./missing", "runs/missing", "../missing"])
def test_a_missing_folder_is_called_so(name, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    name = name.format(folder=tmp_path)
    with pytest.raises(SettingsError, match=r"there is no folder [^ ]*(missing|one)[;,]"):
        load_classifier(name, CLASSES, seed=0)
    assert encoder_digest(name) is None


@pytest.mark.parametrize("damage", [not_finite, of_another_type])
def test_so_it_is_before_pretraining(damage, encoder):
    damage(encoder)
    with pytest.raises(SettingsError, match=r"of its weights|not finite"):
        load_masked_language_model(str(encoder), seed=0)


def test_a_tokenizer_alone_needs_words(encoder):
    without_tokenizer(encoder)
    with pytest.raises(SettingsError, match="no vocabulary"):
        load_tokenizer(str(encoder))


def test_a_bin_of_tensors_is_read_and_runs_no_code(encoder):
    weights = load_file(encoder / "model.safetensors")
    expected = load_classifier(str(encoder), CLASSES, seed=0).model.state_dict()
    (encoder / "model.safetensors").unlink()
    torch.save(weights, encoder / "pytorch_model.bin")
    opened = load_classifier(str(encoder), CLASSES, seed=0).model.state_dict()
    assert all(torch.equal(opened[name], weight) for name, weight in expected.items())


def test_one_line_says_which_weights_are_new(encoder, capfd, caplog):
    """In place of the table and the progress bar that transformers prints."""
    with caplog.at_level(logging.DEBUG, logger="text_uda"):
        load_classifier(str(encoder), CLASSES, seed=0)
    assert [record.message for record in caplog.records] == [
        f"encoder {encoder}: new weights: classifier.bias, classifier.weight"
    ]
    captured = capfd.readouterr()
    assert captured.out == "" and [line for line in captured.err.splitlines() if "new weights: " not in line] == []


def test_layers_that_are_not_there_are_refused_before_the_data_are_split(encoder, tmp_path, capfd):
    (tmp_path / "data.csv").write_text("text,label\n" + "".join(f"the film {i},{i % 2}\n" for i in range(60)))
    arguments = ["train", str(tmp_path / "data.csv"), "--labels", "8", "--encoder", str(encoder), "--tune", "last:99"]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--out", str(tmp_path / "run")])
    out, err = capfd.readouterr()
    assert end.value.code == 2 and out == "" and "last:99" in err and "has 2 layers" in err
    assert not (tmp_path / "run").exists()
