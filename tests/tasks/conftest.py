"""Two tasks on texts of the same kind: a verdict of two classes, and the thing, of three."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from text_uda.data import Rows, Split
from text_uda.model.inputs import Batch, Tokens
from text_uda.model.pretrained import load_classifier
from text_uda.objectives import UDA, VAT, FixMatch, MeanTeacher, Supervised
from text_uda.objectives.objective import Objective
from text_uda.tasks.joint import Joint
from text_uda.tasks.joint_step import JointStep
from text_uda.tasks.method import TaskBatches
from text_uda.tasks.shared_encoder import SharedEncoder
from text_uda.training.settings import TrainSettings
from text_uda.training.step import Step

GOOD, BAD = ("good", "great", "fine", "best", "love"), ("bad", "poor", "dull", "worst", "not")
THINGS = ("film", "plot", "actor")


def verdicts(frame: str) -> Rows:
    pairs = [(thing, word) for word in BAD + GOOD for thing in THINGS]
    return Rows(tuple(frame.format(*pair) for pair in pairs), tuple(int(word in GOOD) for _, word in pairs))


def things(frame: str) -> Rows:
    pairs = [(thing, word) for word in BAD + GOOD for thing in THINGS]
    return Rows(tuple(frame.format(*pair) for pair in pairs), tuple(THINGS.index(thing) for thing, _ in pairs))


@pytest.fixture(scope="session")
def splits() -> dict[str, Split]:
    frames = ("the {} is {}", "that {} was {}", "this {} is {}")
    verdict = Split(
        "verdicts", ("bad", "good"), verdicts("the {} was {}"), verdicts("this {} is very {}").texts,
        verdicts(frames[1]), verdicts(frames[0]), "0" * 32,
    )  # fmt: skip
    thing = Split(
        "things", THINGS, things("a {} so {}"), things("an {} very {}").texts, things("no {} at {}"),
        things("by {} and {}"), "1" * 32,
    )  # fmt: skip
    return {"verdict": verdict, "thing": thing}


@pytest.fixture(scope="session")
def settings(tiny_bert: Path) -> Callable[..., TrainSettings]:
    def with_these(**given) -> TrainSettings:
        defaults = {"steps": 6, "labeled_batch": 4, "unlabeled_ratio": 1, "max_tokens": 16, "learning_rate": 1e-3}
        often = {"evaluate_every": 3, "log_every": 1, "checkpoint_every": 2}
        return TrainSettings(encoder=str(tiny_bert), **(defaults | often | given))

    return with_these


# --- one step -------------------------------------------------------------------------------------------------------

CLASSES = {"verdict": ("bad", "good"), "thing": THINGS}
OBJECTIVES: dict[str, tuple[Objective, ...]] = {
    "verdict": (Supervised(), UDA(confidence_threshold=0, alignment=None)),
    "thing": (Supervised(), FixMatch(confidence_threshold=0.34), MeanTeacher(), VAT()),
}


def tokens(rows: int, seed: int) -> Tokens:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 60, (rows, 5 + seed % 3), generator=generator)
    mask = torch.ones_like(ids)
    mask[0, -2:] = 0
    return Tokens(ids, mask)


@dataclass
class OneStep:
    """A batch of each task, and the modules that compute its loss."""

    models: SharedEncoder
    teacher: SharedEncoder
    batches: TaskBatches

    def joint(self, method: Joint | None = None, *, separable: bool = True, objectives=OBJECTIVES, **more) -> JointStep:
        return JointStep(self.models, self.alone(objectives, **more), method or Joint(), separable=separable)

    def alone(self, objectives=OBJECTIVES, **more) -> dict[str, Step]:
        named = zip(CLASSES, self.models.models, strict=True)
        return {name: Step(model, objectives[name], steps=10, **more) for name, model in named}

    def gradients(self) -> dict[str, torch.Tensor]:
        taken = {name: p.grad.clone() for name, p in self.models.named_parameters() if p.grad is not None}
        self.models.zero_grad()
        return taken


@pytest.fixture
def one_step(tiny_bert: Path) -> OneStep:
    """In float64, without dropout. The heads are large, because random logits are nearly equal."""
    loaded = [load_classifier(str(tiny_bert), classes, seed=7, dropout=0.0).model for classes in CLASSES.values()]
    models = SharedEncoder(loaded).double()
    with torch.no_grad():
        for model in models.models:
            model.classifier.weight.mul_(50)
        teacher = copy.deepcopy(models).eval()
        for parameter in teacher.parameters():
            parameter.mul_(1.01)
    of_tasks = {
        name: Batch(tokens(4, seed), torch.arange(4) % len(classes), tokens(3, 10 * seed), tokens(3, 11 * seed))
        for seed, (name, classes) in enumerate(CLASSES.items(), 1)
    }
    return OneStep(models, teacher, TaskBatches(0, of_tasks))
