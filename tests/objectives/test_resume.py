"""A run that was killed comes to the bytes of an undisturbed one, with its teacher, thresholds and imputed labels."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from text_uda.data import Rows, Split
from text_uda.model.inputs import Tokens
from text_uda.objectives import PRESETS, Dash, Stateful, all_needs
from text_uda.objectives.weight_averaging import FastSWA
from text_uda.training.metrics import MACHINE_METRICS
from text_uda.training.settings import TrainSettings
from text_uda.training.step import Step
from text_uda.training.train_classifier import train

REMEMBERS = [
    name
    for name, preset in PRESETS.items()
    if preset.averaging is not None
    or any(isinstance(each, Stateful) and each.initial_state(torch.ones(1), 1) for each in preset.objectives)
]
FROM_THE_SECOND_STEP = FastSWA(decay_until=0.5, cosine_length=0.5, cycle=1 / 6, every=1)
WORDS = ("good", "great", "fine", "best", "bad", "poor", "dull", "worst")


@dataclass(frozen=True)
class Shuffled:
    """Every third token another word: an augmentation of ids that needs nothing installed."""

    def settings(self) -> dict:
        return {"method": "shuffled", "version": 1, "unit": "text"}

    def on_tokens(self, tokens: Tokens, generator: torch.Generator) -> Tokens:
        draws = torch.rand(tokens.input_ids.shape, generator=generator)
        other = torch.randint(60, 100, draws.shape, generator=generator)
        return Tokens(
            torch.where((tokens.input_ids > 4) & (draws < 0.3), other, tokens.input_ids), tokens.attention_mask
        )


@pytest.fixture(scope="module")
def split() -> Split:
    def rows(frame: str) -> Rows:
        return Rows(tuple(frame.format(word) for word in WORDS), tuple(int(place < 4) for place in range(len(WORDS))))

    unlabeled = rows("this movie is very {}").texts
    return Split(
        "test", ("bad", "good"), rows("the film was {}"), unlabeled, rows("{} it was"), rows("so {}"), "0" * 32
    )


def bytes_of(folder: Path) -> dict[str, bytes]:
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    metrics = [{n: v for n, v in record.items() if n not in MACHINE_METRICS} for record in metrics]
    model = (folder / "model" / "model.safetensors").read_bytes()
    return {"model": model, "metrics": json.dumps(metrics).encode()}


@pytest.mark.parametrize("name", REMEMBERS)
def test_going_on_is_the_same_as_not_having_stopped(name, split, eager, tiny_bert, tmp_path, monkeypatch):
    preset = PRESETS[name]
    arguments = {
        "objectives": tuple(replace(each, least=0.05) if isinstance(each, Dash) else each for each in eager(preset)),
        "averaging": FROM_THE_SECOND_STEP if isinstance(preset.averaging, FastSWA) else preset.averaging,
        "augmentation": Shuffled() if all_needs(preset.objectives).second_view else None,
        "settings": TrainSettings(
            encoder=str(tiny_bert),
            steps=6,
            labeled_batch=4,
            learning_rate=1e-3,
            checkpoint_every=3,
            log_every=1,
            evaluate_every=2,
        ),
    }
    train(split, **arguments, out=tmp_path / "whole")
    forward = Step.forward

    def killed(self, batch, step, *others):
        if step == 4:
            raise KeyboardInterrupt
        return forward(self, batch, step, *others)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Step, "forward", killed)
        train(split, **arguments, out=tmp_path / "killed")
    assert (tmp_path / "killed" / "checkpoints" / "step-00000003").exists()
    train(split, **arguments, out=tmp_path / "killed")
    assert bytes_of(tmp_path / "whole") == bytes_of(tmp_path / "killed")
