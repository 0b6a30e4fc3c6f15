"""`text-uda pretrain` from end to end, and what the other verbs say of what it leaves."""

import json
import signal
import time
from pathlib import Path

import pytest
from forked import Started, finished

SMALL = ("--steps", 3, "--tokens-per-step", 300, "--max-tokens", 64)


def test_from_texts_to_a_classifier(run, record, reviews, tiny_bert, tmp_path):
    out = tmp_path / "pretrained"
    result = record("pretrain", reviews, "--encoder", tiny_bert, *SMALL, "--out", out)
    assert result["steps"] == 3 and result["perplexity"] > 1 and result["new_head"] and result["held_out"] == 2
    texts = json.loads((out / "config.json").read_text())["data"]["texts"]
    assert texts == result["texts"] + result["held_out"] < 360, "no test text is read"
    for encoder in (out, out / "model"):
        words = ["--labels", 6, "--encoder", encoder, "--steps", 2, "--out", tmp_path / encoder.name / "run"]
        assert record("train", reviews, *words)["steps"] == 2
    said = run("pretrain", reviews, "--encoder", tiny_bert, *SMALL, "--out", out)
    assert said.exit_code == 0 and "held-out perplexity" in said.stdout and "a random one" in said.stdout
    assert f"--encoder {out}" in said.stdout


def test_knobs_of_fine_tuning_reach_the_settings(record, refused, reviews, tiny_bert, tmp_path):
    knobs = ("--layer-decay", 0.9, "--reinit-layers", 1, "--dropout", 0)
    words = ("train", reviews, "--labels", 6, "--encoder", tiny_bert, "--steps", 2)
    record(*words, *knobs, "--out", tmp_path / "run")
    settings = json.loads((tmp_path / "run" / "config.json").read_text())["settings"]
    assert (settings["layer_decay"], settings["reinit_layers"], settings["dropout"]) == (0.9, 1, 0.0)
    assert json.loads((tmp_path / "run" / "model" / "config.json").read_text())["hidden_dropout_prob"] == 0
    assert "reinit_layers=3: the encoder has 2" in refused(*words, "--reinit-layers", 3, "--out", tmp_path / "other")
    assert "tune='head'" in refused(*words, "--tune", "head", "--reinit-layers", 1, "--out", tmp_path / "other")


def test_what_is_no_classifier_is_no_classifier(record, refused, reviews, tiny_bert, tmp_path):
    record("pretrain", reviews, "--encoder", tiny_bert, *SMALL, "--out", tmp_path / "run")
    assert "which leaves an encoder and no classifier" in refused("evaluate", tmp_path / "run", reviews)
    assert "which leaves an encoder and no classifier" in refused("predict", tmp_path / "run", input="a film\n")
    assert "which leaves an encoder and no classifier" in refused(
        "report", tmp_path / "run", "--out", tmp_path / "report.html"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--mask-rate", 1.5), "mask_rate=1.5: give a share between 0 and 1"),
        (("--learning-rate", 0), "'--learning-rate': 0.0 is not in the range x>0"),
        (("--tokens-per-step", 10), "tokens_per_step=10: a text has up to max_tokens=256"),
        (("--max-minutes", 0), "'--max-minutes': 0.0 is not in the range x>0"),
        (("--encoder", "no/such-encoder"), "cannot open the encoder"),
    ],
)
def test_bad_input_is_one_line(refused, reviews, tiny_bert, tmp_path, words, said):
    encoder = () if "--encoder" in words else ("--encoder", tiny_bert)
    assert said in refused("pretrain", reviews, *encoder, "--out", tmp_path / "run", *words)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def command(reviews, tiny_bert) -> list[str]:
    words = ["pretrain", str(reviews), "--encoder", str(tiny_bert), "--steps"]
    return [*words, "100", "--tokens-per-step", "300", "--max-tokens", "64", "--checkpoint-every", "20", "--out"]


@pytest.fixture(scope="module")
def undisturbed(command, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("pretrain") / "whole"
    finished(*command, run)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_goes_on_to_the_same_bytes(command, undisturbed, tmp_path, how):
    killed = tmp_path / "killed"
    process = Started(*command, killed)
    while process.poll() is None and not list(killed.glob("checkpoints/step-*")):
        time.sleep(0.01)
    process.send_signal(how)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == (-signal.SIGKILL if how is signal.SIGKILL else 130), errors
    assert not (killed / "result.json").exists(), "it was stopped too late to test anything"
    if how is not signal.SIGKILL:
        assert errors.splitlines()[-1].startswith("interrupted: stopped after step ")
    finished(*command, killed)
    assert weights(undisturbed) == weights(killed)


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()
