"""What the tests of objectives share: a context from plain tensors, and a tiny classifier without dropout."""

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from text_uda.model.classifier import Classifier, ClassifierOutput
from text_uda.model.inputs import Batch, Features
from text_uda.model.pretrained import load_classifier
from text_uda.objectives import Context, Loss, Objective, Preset, Stateful


@pytest.fixture
def evaluate() -> Callable[..., Loss]:
    """Call an objective on logits that are given: `evaluate(PiModel(), original=z, second=z2, step=3)`.

    Views (labeled, labeled_again, original, second) are logits (B, C), or (logits, hidden). `state` is kept by the
    caller, who gets a new one by `new_state`.
    """

    def call(
        objective,
        *,
        labels: Tensor | None = None,
        targets: Tensor | None = None,
        teacher_logits: Tensor | None = None,
        unlabeled_rows: Tensor | None = None,
        student: Classifier | None = None,
        batch: Batch | None = None,
        step: int = 0,
        steps: int = 10,
        classes: int | None = None,
        key: int = 0,
        state: dict[str, Tensor] | None = None,
        **views: Tensor | tuple[Tensor, Tensor],
    ) -> Loss:
        outputs = {
            name.replace("_", " "): ClassifierOutput(*view)
            if isinstance(view, tuple)
            else ClassifierOutput(view, torch.zeros(len(view), 1))
            for name, view in views.items()
        }
        if classes is None:
            given = [output.logits for output in outputs.values()] + [
                each for each in (targets, teacher_logits) if each is not None
            ]
            classes = given[0].shape[-1]
        if batch is None:
            rows = len(outputs["labeled"].logits) if "labeled" in outputs else 1
            labels = torch.zeros(rows, dtype=torch.long) if labels is None else labels
            batch = Batch(Features(torch.zeros(rows, 1)), labels, unlabeled_rows=unlabeled_rows)
        context = Context(
            student=student,  # pyright: ignore[reportArgumentType]
            views=outputs,  # pyright: ignore[reportArgumentType]
            targets=targets,
            teacher_logits=teacher_logits,
            step=step,
            steps=steps,
            classes=classes,
            key=key,
            state=new_state(objective, classes) if state is None else state,
        )
        return objective(context, batch)

    return call


def new_state(objective, classes: int, unlabeled: int = 8) -> dict[str, Tensor]:
    return (
        objective.initial_state(torch.full((classes,), 1 / classes), unlabeled)
        if isinstance(objective, Stateful)
        else {}
    )


@pytest.fixture(scope="session")
def eager() -> Callable[[Preset], Iterator[Objective]]:
    """The objectives of a preset with rows that count from the first step on; see `train_in_parts.py`."""
    return runpy.run_path(str(Path(__file__).with_name("train_in_parts.py")))["eager"]


@pytest.fixture
def random_logits() -> Callable[..., Tensor]:
    """`random_logits(seed, rows, classes)`, float64, predictions far from uniform."""

    def draw(seed: int, rows: int = 12, classes: int = 4) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return 2 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)

    return draw


@pytest.fixture
def student(tiny_bert: Path) -> Classifier:
    """A tiny BERT of three classes in float64, without dropout, whose predictions are far from uniform."""
    model = load_classifier(str(tiny_bert), ("bad", "fine", "good"), seed=0).model.double().train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        model.get_parameter("classifier.weight").mul_(20)
        for name, parameter in model.named_parameters():  # so that the first state depends on the other tokens
            if "attention.output.dense.weight" in name or "attention.self.value.weight" in name:
                parameter.mul_(20)
    return Classifier(model)
