"""How often each class is expected: what is accepted, where the running means start, and what skewed data comes to."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.objectives import UDA, AdaMatch, FlexMatch, FreeMatch, SoftMatch, Supervised
from text_uda.objectives.class_prior import alignment_state, class_distribution

SKEWED = (0.8, 0.15, 0.05)
OF_LABELS = torch.tensor([0.5, 0.25, 0.25])
UNIFORM = torch.full((3,), 1 / 3)


def test_the_distribution_that_a_prior_stands_for():
    assert class_distribution("uniform", OF_LABELS, "alignment").tolist() == pytest.approx([1 / 3] * 3)
    assert torch.equal(class_distribution("labels", OF_LABELS, "alignment"), OF_LABELS)
    assert class_distribution(SKEWED, OF_LABELS, "alignment").tolist() == pytest.approx(SKEWED)
    rounded = class_distribution((0.333, 0.333, 0.333), OF_LABELS, "alignment")
    assert rounded.tolist() == pytest.approx([1 / 3] * 3) and rounded.sum().item() == pytest.approx(1, abs=1e-6)


def test_the_prior_of_balanced_labels_is_the_uniform_one_to_the_bit():
    for classes in (2, 3, 5, 6, 7, 14, 49):
        balanced = torch.full((classes,), 4.0) / (4 * classes)
        assert torch.equal(class_distribution("labels", balanced, ""), class_distribution("uniform", balanced, "")), (
            classes
        )


@pytest.mark.parametrize("kind", [UDA, AdaMatch, SoftMatch])
def test_the_running_mean_starts_at_the_prior(kind):
    state = kind(alignment=SKEWED).initial_state(OF_LABELS, 1)
    assert state["mean_prediction"].tolist() == state["prior"].tolist() == pytest.approx(SKEWED)
    state["mean_prediction"].zero_()
    assert state["prior"].sum() > 0, "each has its own memory"
    assert torch.equal(kind(alignment="labels").initial_state(OF_LABELS, 1)["prior"], OF_LABELS)
    assert "mean_prediction" not in kind(alignment=None).initial_state(OF_LABELS, 1)


@pytest.mark.parametrize("kind", [FreeMatch, FlexMatch])
def test_thresholds_know_the_prior(kind):
    state = kind(prior="labels").initial_state(OF_LABELS, 4)
    assert torch.equal(state["prior"], OF_LABELS)
    if kind is FreeMatch:
        assert torch.equal(state["mean_prediction"], OF_LABELS) and torch.equal(state["label_share"], OF_LABELS)


def test_the_means_of_adamatch_start_at_the_marginal_of_the_labels():
    state = AdaMatch().initial_state(OF_LABELS, 1)
    assert torch.equal(state["mean_prediction"], OF_LABELS) and torch.equal(state["labeled_mean"], OF_LABELS)


@pytest.mark.parametrize(
    ("objective", "field"),
    [(UDA, "alignment"), (AdaMatch, "alignment"), (SoftMatch, "alignment"), (FreeMatch, "prior"), (FlexMatch, "prior")],
)
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("even", "choose .*uniform, labels, or give"),
        ([0.5, 0.5], "a tuple of numbers"),
        (True, "a tuple of numbers"),
        (("a", "b"), "a tuple of numbers"),
        ((0.5, 0.4), "sum to 0.9"),
        ((1.0, 0.0), "give each class a share above 0"),
        ((math.nan, 1.0), "give each class a share above 0"),
        ((), "sum to 0"),
    ],
)
def test_what_is_no_prior_is_refused(objective, field, wrong, said):
    with pytest.raises(SettingsError, match=f"{field}=.*{said}"):
        objective(**{field: wrong})


def test_a_threshold_for_each_class_needs_a_prior():
    for kind in (FreeMatch, FlexMatch):
        with pytest.raises(SettingsError, match="prior=None: choose uniform, labels"):
            kind(prior=None)


@pytest.mark.parametrize("objective", [UDA(alignment=(0.5, 0.5)), FlexMatch(prior=(0.5, 0.5))])
def test_shares_of_another_number_of_classes_are_refused(objective):
    with pytest.raises(SettingsError, match="has 2 shares and the data 3 classes"):
        objective.initial_state(OF_LABELS, 1)


def test_a_class_without_a_label_has_no_share_among_the_labels():
    share = torch.tensor([0.5, 0.0, 0.5])
    for objective in (UDA(alignment="labels"), Supervised(class_weights="balanced")):
        with pytest.raises(SettingsError, match=r"a labeled row of each class, and there is none of class 1 "):
            objective.initial_state(share, 1)
    assert alignment_state("uniform", share)["prior"].tolist() == pytest.approx([1 / 3] * 3)


# --- skewed data: exact posteriors of texts whose classes are as frequent as SKEWED says ------------------------------

TEXTS = 6000
BALANCED_LABELS = 20 * torch.eye(3)  # what a model predicts of labeled rows that were drawn class-balanced


def texts() -> tuple[np.ndarray, np.ndarray]:
    """Classes of the texts, and how likely each text is under each class: Gaussians at the corners of a triangle."""
    draws = np.random.default_rng(0)
    labels = draws.choice(3, size=TEXTS, p=SKEWED)
    means = np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 1.7]])
    points = means[labels] + draws.normal(size=(TEXTS, 2))
    return labels, np.exp(-((points[:, None] - means) ** 2).sum(axis=-1) / 2)


def logits_under(prior, likelihoods: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.log(likelihoods * np.asarray(prior)))


def wrong_targets(objective, logits: torch.Tensor, labels: np.ndarray, share=UNIFORM) -> float:
    """Percent of the targets whose most probable class is another than that of the text, once the mean has settled."""
    state = objective.initial_state(share, 1)
    views = {"labeled": SimpleNamespace(logits=BALANCED_LABELS)}
    targets = [
        objective.choose(SimpleNamespace(targets=rows, state=state, views=views), None).targets
        for rows in logits.split(50)
    ]
    settled = slice(TEXTS // 2, None)
    return 100 * float((torch.cat(targets).argmax(dim=-1).numpy() != labels)[settled].mean())


def aligning(kind, prior) -> UDA | AdaMatch:
    return UDA(alignment=prior, alignment_momentum=0.95) if kind is UDA else AdaMatch(alignment=prior, momentum=0.95)


@pytest.mark.parametrize("kind", [UDA, AdaMatch])
def test_the_uniform_prior_makes_exact_posteriors_of_skewed_data_wrong_and_the_true_one_does_not(kind):
    labels, likelihoods = texts()
    exact = logits_under(SKEWED, likelihoods)
    none, uniform, true = (wrong_targets(aligning(kind, each), exact, labels) for each in (None, "uniform", SKEWED))
    assert none < 15 and uniform > 1.8 * none, (none, uniform)
    assert true == pytest.approx(none, abs=0.5)
    assert wrong_targets(aligning(kind, "labels"), exact, labels, torch.tensor(SKEWED)) == true
    assert wrong_targets(aligning(kind, "labels"), exact, labels) == uniform, "labels drawn class-balanced"


def test_adamatch_aligns_to_equal_classes_where_its_labeled_rows_are_balanced():
    labels, likelihoods = texts()
    exact = logits_under(SKEWED, likelihoods)
    uniform, as_in_the_paper = (
        wrong_targets(aligning(AdaMatch, each), exact, labels) for each in ("uniform", "predictions")
    )
    assert as_in_the_paper == pytest.approx(uniform, abs=0.5)


def test_the_true_prior_mends_posteriors_that_were_learnt_from_balanced_labels():
    labels, likelihoods = texts()
    balanced = logits_under([1 / 3] * 3, likelihoods)
    none, true = (wrong_targets(aligning(UDA, each), balanced, labels) for each in (None, SKEWED))
    best = wrong_targets(UDA(), logits_under(SKEWED, likelihoods), labels)
    assert best <= true < none - 0.5 * (none - best), (best, true, none)


def test_adamatch_takes_the_given_prior_for_the_predictions_on_labeled_rows(evaluate):
    # (0.9, 0.1) and (0.7, 0.3), mean (0.8, 0.2), aligned to (0.4, 0.6): (0.45, 0.3) and (0.35, 0.9) before they are
    # normalised: 0.6 and 0.72 of confidence, of classes 0 and 1
    objective = AdaMatch(momentum=0.0, alignment=(0.4, 0.6), relative_threshold=0.7)
    labeled = torch.tensor([[math.log(19.0), 0.0]])  # a confidence of 0.95, and a threshold of 0.665
    weak = torch.tensor([[math.log(9.0), 0.0], [math.log(7 / 3), 0.0]])
    loss = evaluate(objective, labeled=labeled, targets=weak, second=torch.zeros(2, 2), step=5, steps=10)
    assert loss.terms["confident"] == 0.5
    assert loss.total.item() == pytest.approx(math.log(2) / 2, abs=1e-6)
    without = AdaMatch(momentum=0.0, alignment=None, relative_threshold=0.75)  # a threshold of 0.7125
    loss = evaluate(without, labeled=labeled, targets=weak, second=torch.zeros(2, 2), step=5, steps=10)
    assert loss.terms["confident"] == 0.5, "(0.9, 0.1) as it is"


def test_softmatch_weighs_by_the_given_prior(evaluate):
    # what is predicted as often as expected is aligned to itself: both rows lie at 0.8, the mean of the confidences
    objective = SoftMatch(momentum=0.0, alignment=(0.8, 0.2))
    weak = torch.tensor([[math.log(4.0), 0.0]]).repeat(2, 1)
    loss = evaluate(objective, targets=weak, second=torch.zeros(2, 2))
    assert loss.terms["threshold"].item() == pytest.approx(0.8)
    uniform = evaluate(SoftMatch(momentum=0.0), targets=weak, second=torch.zeros(2, 2))
    assert uniform.terms["threshold"].item() == pytest.approx(0.5)
    without = evaluate(SoftMatch(momentum=0.0, alignment=None), targets=weak, second=torch.zeros(2, 2))
    assert without.terms["threshold"].item() == pytest.approx(0.8)


def test_freematch_lowers_the_threshold_of_what_is_predicted_less_than_expected(evaluate):
    # p~ = (0.8, 0.2) and tau = 0.8. Uniform: thresholds of 0.8 and 0.2. With a prior of (0.9, 0.1) the second class is
    # predicted twice as often as expected: thresholds of 0.8 (0.8 / 0.9) / 2 = 0.356 and 0.8.
    weak = torch.tensor([[math.log(9.0), 0.0], [math.log(7 / 3), 0.0], [0.0, math.log(1.5)]]).double()
    strong = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0], [math.log(7.0), 0.0]]).double()
    losses = [math.log(2), math.log(4 / 3), math.log(8)]
    for prior, counted in (("uniform", [True, False, True]), ((0.9, 0.1), [True, True, False])):
        objective = FreeMatch(momentum=0.999999, prior=prior)
        state = objective.initial_state(torch.full((2,), 0.5), 1)
        state |= {"threshold": torch.tensor(0.8), "mean_prediction": torch.tensor([0.8, 0.2])}
        loss = evaluate(objective, targets=weak, second=strong, state=state)
        assert loss.terms["confident"].item() == pytest.approx(sum(counted) / 3), prior
        assert loss.terms["freematch"].item() == pytest.approx(np.dot(losses, counted) / 3)
