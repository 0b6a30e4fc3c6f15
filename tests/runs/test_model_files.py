"""A model is read where it is the one that the run wrote: each altered, missing or added file is named."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from text_uda.data import Rows, Split
from text_uda.errors import SettingsError
from text_uda.model.pretrained import encoder_path
from text_uda.objectives import Supervised
from text_uda.runs.directory import RunDirectory
from text_uda.runs.evaluation import evaluate
from text_uda.runs.model_files import DamagedModelError, check_model, digests
from text_uda.runs.prediction import predict
from text_uda.runs.publish import model_folder
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train

ROWS = Rows(("good film", "bad plot", "best love", "worst actor"), (0, 1, 0, 1))


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    (folder / "1_Pooling").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json", "README.md", "1_Pooling/config.json"):
        (folder / name).write_text(name)
    return folder


def check(model: Path, recorded: dict[str, str] | None) -> None:
    check_model(model.parent, {} if recorded is None else {"model_files": recorded})


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json"])
def test_each_file_that_decides_is_named(model, name):
    recorded = digests(model)
    check(model, recorded)
    (model / name).write_text("other")
    with pytest.raises(DamagedModelError, match=rf"{name} is not as the run wrote it.*--no-resume"):
        check(model, recorded)
    (model / name).unlink()
    with pytest.raises(DamagedModelError, match=f"{name} is missing"):
        check(model, recorded)


def test_a_zeroed_file_of_the_same_size_is_noticed(model):
    recorded = digests(model)
    (model / "model.safetensors").write_bytes(b"\0" * len("model.safetensors"))
    with pytest.raises(DamagedModelError, match="SHA-256"):
        check(model, recorded)


def test_the_card_may_change_and_other_files_may_be_added(model):
    recorded = digests(model)
    (model / "README.md").write_text("what I found out")
    (model / "onnx").mkdir()
    (model / "onnx" / "model.onnx").write_text("")
    (model / "notes.txt").write_text("")
    check(model, recorded)
    (model / "README.md").unlink()
    check(model, recorded)


@pytest.mark.parametrize("name", ["adapter_config.json", "added_tokens.json", "vocab.txt"])
def test_a_file_that_transformers_would_read_too_is_refused(model, name):
    recorded = digests(model)
    (model / name).write_text("{}")
    with pytest.raises(DamagedModelError, match=f"{name} was added after the run"):
        check(model, recorded)


def test_a_run_of_an_earlier_version_needs_its_weights(model):
    check(model, None)
    (model / "model.safetensors").unlink()
    with pytest.raises(DamagedModelError, match=r"safetensors is missing"):
        check(model, None)


@pytest.fixture(scope="module")
def call(tiny_bert):
    split = Split("test", ("good", "bad"), ROWS, ("fine",), ROWS, ROWS, "0" * 32)
    settings = TrainSettings(encoder=str(tiny_bert), tune="head", steps=1, max_tokens=16)
    return lambda out, **more: train(split, objectives=(Supervised(),), settings=settings, out=out, **more)


def test_no_reader_takes_a_run_whose_model_is_damaged(call, tmp_path):
    run = tmp_path / "run"
    result = call(run)
    written = json.loads((run / "result.json").read_text())
    assert result == written and result["model_files"] == digests(run / "model")
    tokenizer = (run / "model" / "tokenizer.json").read_bytes()
    (run / "model" / "tokenizer.json").unlink()
    reads = [
        lambda: call(run),
        lambda: list(predict(run, ["good"])),
        lambda: evaluate(run, ROWS),
        lambda: model_folder(run),
        lambda: encoder_path(str(run / "model")),
    ]
    for read in reads:
        with pytest.raises(DamagedModelError, match=r"tokenizer\.json is missing"):
            read()
    (run / "model" / "tokenizer.json").write_bytes(tokenizer)
    for read in reads:
        read()
    with pytest.raises(SettingsError, match=r"is the run of a classifier; name its model, .*model"):
        encoder_path(str(run))
    (run / "model" / "model.safetensors").write_bytes(b"")
    assert call(run, resume=False)["model_files"] == result["model_files"]


def test_a_run_of_an_earlier_version_needs_its_vocabulary(call, tmp_path):
    run = tmp_path / "run"
    result = call(run)
    RunDirectory(run).write("result.json", {key: value for key, value in result.items() if key != "model_files"})
    list(predict(run, ["good"]))
    (run / "model" / "tokenizer.json").unlink()
    for read in (lambda: list(predict(run, ["good"])), lambda: evaluate(run, ROWS)):
        with pytest.raises(SettingsError, match=r"model has no vocabulary: its tokenizer\.json is missing"):
            read()


def test_nan_weights_are_an_error_not_an_answer(call, tmp_path):
    run = tmp_path / "run"
    call(run)
    weights = load_file(run / "model" / "model.safetensors")
    name = next(name for name in weights if name.endswith("classifier.bias"))
    weights[name][0] = -float("inf")  # whose softmax would be finite
    save_file(weights, run / "model" / "model.safetensors", metadata={"format": "pt"})
    result = RunDirectory(run).result() or {}
    RunDirectory(run).write("result.json", {key: value for key, value in result.items() if key != "model_files"})
    for read in (lambda: list(predict(run, ["good"])), lambda: evaluate(run, ROWS)):
        with pytest.raises(SettingsError, match="logits that are not finite numbers"):
            read()
