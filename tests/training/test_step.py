"""A step: which views carry gradient, that it moves the weights, that objectives add up and keep their state."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from text_uda.augment.cutoff import Cutoff
from text_uda.keyed_random import keyed_seed
from text_uda.model.inputs import Batch
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.pretrained import load_classifier
from text_uda.model.tokenized import TokenRows
from text_uda.objectives import UDA, InfoNCE, Loss, Needs, SupCon, Supervised
from text_uda.training.in_step_augmentation import special_ids
from text_uda.training.step import Step

LABELED = ["a good film", "a bad film and a bad plot", "not fine"]
ORIGINAL = ["the actor was great", "the worst scene", "love this phone", "really dull"]
AUGMENTED = ["an actor was very great", "the bad scene", "love that product", "really poor"]


@pytest.fixture
def made(tiny_bert: Path):
    classifier = load_classifier(str(tiny_bert), ("bad", "fine", "good"), seed=0)
    with torch.no_grad():
        classifier.model.classifier.weight.mul_(20)  # predictions far from uniform: a new head's are near it
        for layer in classifier.model.bert.encoder.layer:  # and so that the first state depends on the other tokens
            layer.attention.self.value.weight.mul_(20)
            layer.attention.output.dense.weight.mul_(20)
    views = [TokenRows(texts, classifier.tokenizer, max_tokens=32) for texts in (LABELED, ORIGINAL, AUGMENTED)]
    labeled, original, augmented = (rows.batch(range(len(rows))) for rows in views)
    return classifier.model.eval(), Batch(labeled, torch.tensor([2, 0, 1]), original, augmented)


@pytest.mark.parametrize("objectives", [(Supervised(),), (UDA(),), (Supervised(tsa="log"), UDA(temperature=0.5))])
def test_a_step_moves_the_weights(made, objectives):
    model, batch = made
    step = Step(model, objectives, steps=10)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    loss = step(batch, 5).loss
    loss.backward()
    torch.optim.Adam(model.parameters(), lr=1e-4).step()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        assert not torch.equal(parameter, before[name]), name
    assert step(batch, 5).loss < loss, "a small step down the gradient lowers the loss"


def test_no_gradient_through_the_original_view(made):
    """What the loss says of the weights is what it says when the targets are constants."""
    model, batch = made
    step = Step(model, (UDA(temperature=0.5),), steps=10)
    step(batch, 0).loss.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    targets = model(batch.original.input_ids, batch.original.attention_mask).logits.detach().div(0.5).softmax(-1)
    log_p = model(batch.augmented.input_ids, batch.augmented.attention_mask).logits.log_softmax(-1)
    (targets * (targets.log() - log_p)).sum(-1).mean().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-5, rtol=1e-3, msg=name)


def test_objectives_add_up(made):
    model, batch = made
    parts = [Step(model, (objective,), steps=10)(batch, 3).loss for objective in (Supervised(), UDA(weight=0.7))]
    both, _, terms, _ = Step(model, (Supervised(), UDA(weight=0.7)), steps=10)(batch, 3)
    assert both.item() == pytest.approx(sum(part.item() for part in parts), rel=1e-5)
    assert {"supervised", "uda", "confident"} <= terms.keys()


def test_the_state_of_an_objective_is_in_the_state_of_the_step(made):
    model, batch = made
    step = Step(model, (Supervised(), UDA(alignment="uniform")), steps=10)
    name = "objective_1_mean_prediction"
    before = step.state_dict()[name].clone()
    step(batch, 0)
    assert not torch.equal(step.state_dict()[name], before)


def test_without_pairs_only_labeled_rows_are_run(made):
    model, batch = made
    loss, _, terms, _ = Step(model, (Supervised(),), steps=10)(Batch(batch.labeled, batch.labels), 0)
    expected = torch.nn.functional.cross_entropy(
        model(batch.labeled.input_ids, batch.labeled.attention_mask).logits, batch.labels
    )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5) and "uda" not in terms


def test_the_view_that_the_step_makes_is_the_one_that_is_run(tiny_bert, made):
    """Labeled rows as without it; the loss is that of a forward in which nothing attends to the erased tokens."""
    model, batch = made
    special = special_ids(load_classifier(str(tiny_bert), ("a", "b"), seed=0).tokenizer)
    alone = Batch(batch.labeled, batch.labels, batch.original)
    step = Step(model, (Supervised(), UDA()), steps=10, augmentation=Cutoff(kind="token", rate=0.4), special=special)
    terms = step(alone, 0, key=5).terms
    ids, mask = batch.original.input_ids, batch.original.attention_mask
    ones = torch.ones(*ids.shape, 1)
    own = mask.bool() & ~torch.isin(ids, special)
    kept = step.augmentation.on_embeddings(ones, own, torch.Generator().manual_seed(keyed_seed(5, "augment") >> 65))[
        :, :, 0
    ]
    log_p = model(ids, mask * kept.long()).logits.log_softmax(-1)
    log_q = model(ids, mask).logits.log_softmax(-1)
    expected = (log_q.exp() * (log_q - log_p)).sum(-1).mean()
    assert terms["uda"].item() == pytest.approx(expected.item(), rel=1e-3) and expected > 1e-4
    assert terms["changed"].item() == pytest.approx((own.sum() - kept[own].sum()).item() / own.sum().item())
    supervised = Step(model, (Supervised(),), steps=10)(Batch(batch.labeled, batch.labels), 0).terms
    assert terms["supervised"].item() == pytest.approx(supervised["supervised"].item(), rel=1e-5)


@pytest.mark.parametrize("kind", ["span", "feature"])
def test_with_a_weight_of_zero_the_gradient_is_that_of_the_labeled_rows_to_the_bit(tiny_bert, made, kind):
    model, batch = made
    model.train()
    special = special_ids(load_classifier(str(tiny_bert), ("a", "b"), seed=0).tokenizer)
    gradients = []
    for objectives, rows in (
        ((Supervised(),), Batch(batch.labeled, batch.labels)),
        ((Supervised(), UDA(weight=0.0)), Batch(batch.labeled, batch.labels, batch.original)),
    ):
        model.zero_grad()
        step = Step(model, objectives, steps=10, augmentation=Cutoff(kind=kind), special=special)
        with seeded_torch(0):
            step(rows, 0).loss.backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})
    assert all(torch.equal(gradients[1][name], gradient) for name, gradient in gradients[0].items())


class Looks:
    """Asks for the original view twice over, with its gradient and as targets."""

    needs = Needs(views=("original",), targets=True)

    def __call__(self, context, batch):
        assert context.views["original"].logits.requires_grad and not context.targets.requires_grad
        assert torch.equal(context.views["original"].logits, context.targets)
        return Loss(context.views["original"].logits.sum(), {})


def test_targets_have_no_gradient_though_they_come_from_a_view_that_has(made):
    model, batch = made
    assert Step(model, (Looks(),), steps=10)(batch, 0).loss.requires_grad


def test_what_no_longer_counts_is_left_out_with_its_rows(made):
    model, batch = made
    batch = replace(batch, unlabeled_rows=torch.arange(4))
    step = Step(model, (Supervised(), SupCon(until=0.5), InfoNCE(until=0.3)), steps=10)
    alone = Step(model, (Supervised(),), steps=10)(batch, 7)
    results = {number: step(batch, number) for number in (0, 2, 3, 4, 5, 7)}
    named = {number: list(result.parts) for number, result in results.items()}
    both = ["Supervised", "SupCon", "InfoNCE"]
    assert named == {0: both, 2: both, 3: both[:2], 4: both[:2], 5: both[:1], 7: both[:1]}
    assert torch.equal(results[7].loss, alone.loss) and results[7].unlabeled is None
    step(batch, 7)
    after = step.token_counts.tokens
    step(batch, 4)
    assert step.token_counts.tokens == 2 * after, "the labeled rows, and again; no unlabeled ones"
    step(batch, 1)
    assert step.token_counts.tokens > 2 * after, "what counts depends on the step alone"
