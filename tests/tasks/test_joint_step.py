"""One step of several tasks: the gradient of the sum, in the passes of one task."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from text_uda.model.classifier import Classifier
from text_uda.model.inputs import Features
from text_uda.objectives import PRESETS, UDA, FixMatch, MeanTeacher, Supervised
from text_uda.tasks.joint import Joint
from text_uda.tasks.method import TaskBatches
from text_uda.tasks.uncertainty import new_log_variances, uncertainty_weighted

TASKS = ("verdict", "thing")


@pytest.mark.parametrize("separable", [True, False])
@pytest.mark.parametrize("tokens_per_pass", [None, 12])
def test_the_joint_gradient_is_the_weighted_sum_of_separate_ones(one_step, separable, tokens_per_pass):
    weights, rows = {"verdict": 0.5, "thing": 3.0}, one_step.batches
    step = one_step.joint(Joint(task_weights=weights), separable=separable, tokens_per_pass=tokens_per_pass)
    loss = step(rows, 3, 5, one_step.teacher)
    loss.loss.backward()
    together, total = one_step.gradients(), 0.0
    for (name, part), averaged in zip(one_step.alone().items(), one_step.teacher.models, strict=True):
        alone = part(rows.batches[name], 3, step._key(5, name), averaged)
        (weights[name] * alone.loss).backward()
        total += weights[name] * alone.loss.item()
        assert float(loss.terms[f"{name}/loss"]) == pytest.approx(alone.loss.item(), abs=1e-12)
    expected = one_step.gradients()
    assert loss.loss.item() == pytest.approx(total, abs=1e-12)
    assert together.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(together[name], value, rtol=0, atol=1e-10, msg=name)


def test_every_preset_has_the_gradient_of_separate_steps(one_step):
    """For both tasks at once, also where an objective runs rows itself (VAT, mixing) or keeps a state."""
    rows = {
        name: replace(batch, labeled_rows=torch.arange(4), unlabeled_rows=torch.arange(3))
        for name, batch in one_step.batches.batches.items()
    }
    for preset, chosen in PRESETS.items():
        if not chosen.losses:  # a baseline takes no step
            continue
        objectives = dict.fromkeys(TASKS, chosen.losses)
        step = one_step.joint(objectives=objectives, unlabeled=3)
        step(TaskBatches(6, rows), 6, 5, one_step.teacher).loss.backward()
        together = one_step.gradients()
        alone = one_step.alone(objectives, unlabeled=3)
        for (name, part), averaged in zip(alone.items(), one_step.teacher.models, strict=True):
            part(rows[name], 6, step._key(5, name), averaged).loss.backward()
        expected = one_step.gradients()
        assert together.keys() == expected.keys(), preset
        for name, value in expected.items():
            torch.testing.assert_close(together[name], value, rtol=1e-9, atol=1e-10, msg=f"{preset}: {name}")


def test_the_terms_of_objectives_of_one_class_are_kept_by_task(one_step):
    loss = one_step.joint()(one_step.batches, 3, 5, one_step.teacher)
    assert {"verdict/supervised", "thing/supervised"} <= loss.terms.keys()
    assert {"verdict/Supervised", "thing/Supervised", "verdict/UDA", "thing/FixMatch"} <= loss.parts.keys()


def test_consistency_of_two_tasks_takes_no_more_passes_than_of_one(one_step):
    """A pass for the targets, one of the teacher, and one with gradient."""
    passes = []
    for models, name in ((one_step.models, "student"), (one_step.teacher, "teacher")):
        models.models[0].base_model.encoder.register_forward_hook(lambda *_, name=name: passes.append(name))
    objectives = {"verdict": (Supervised(), UDA(alignment=None)), "thing": (Supervised(), FixMatch(), MeanTeacher())}
    one_step.joint(objectives=objectives)(one_step.batches, 3, 5, one_step.teacher)
    together = sorted(passes)
    passes.clear()
    one_step.alone(objectives)["thing"](one_step.batches.batches["thing"], 3, 5, one_step.teacher.models[1])
    assert together == sorted(passes) == ["student", "student", "teacher"]


def test_a_copy_shares_its_encoder_too(one_step):
    copied = copy.deepcopy(one_step.models)
    first, second = copied.models
    assert first.bert.encoder is second.bert.encoder is not one_step.models.models[0].bert.encoder
    assert first.bert.pooler is not second.bert.pooler and first.classifier is not second.classifier
    own = {id(p) for p in (*second.bert.pooler.parameters(), *second.classifier.parameters())}
    assert not own & {id(p) for p in copied.shared_parameters()}
    assert len(list(copied.parameters())) == len(list(first.parameters())) + len(own)


def test_uncertainty_weights_have_the_gradient_of_finite_differences():
    losses = [torch.tensor(0.3, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)]
    s = torch.tensor([0.2, -0.7], dtype=torch.float64, requires_grad=True)
    uncertainty_weighted(losses, s).backward()
    assert s.grad is not None
    for index in range(2):
        change = torch.zeros(2, dtype=torch.float64)
        change[index] = 1e-6
        with torch.no_grad():
            difference = uncertainty_weighted(losses, s + change) - uncertainty_weighted(losses, s - change)
        assert float(s.grad[index]) == pytest.approx(float(difference) / 2e-6, abs=1e-8)
    by_hand = np.exp(-0.2) * 0.3 + 0.1 + np.exp(0.7) * 2.0 - 0.35
    assert uncertainty_weighted(losses, s).item() == pytest.approx(by_hand, abs=1e-12)


def test_uncertainty_weighs_the_losses_of_a_step(one_step):
    one_step.models.log_variances = new_log_variances(2, torch.device("cpu"))
    with torch.no_grad():
        one_step.models.log_variances.copy_(torch.tensor([0.5, -0.5]))
    loss = one_step.joint(Joint(weights="uncertainty"))(one_step.batches, 3, 5, one_step.teacher)
    weights = [float(loss.terms[f"{name}/weight"]) for name in TASKS]
    assert weights == pytest.approx([np.exp(-0.5), np.exp(0.5)])
    expected = sum(w * float(loss.terms[f"{name}/loss"]) for name, w in zip(TASKS, weights, strict=True))
    assert loss.loss.item() == pytest.approx(expected, abs=1e-6)
    loss.loss.backward()
    gradient = one_step.models.log_variances.grad
    assert gradient is not None and gradient.abs().min() > 0


def test_the_features_and_the_head_give_the_logits(one_step):
    classifier, rows = Classifier(one_step.models.models[1]), one_step.batches.batches["thing"].labeled
    whole, parts = classifier(rows), classifier(Features(classifier.encode(rows)))
    torch.testing.assert_close(parts.logits, whole.logits, rtol=0, atol=1e-12)
    torch.testing.assert_close(parts.hidden, whole.hidden, rtol=0, atol=1e-12)
