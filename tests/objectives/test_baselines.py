"""The fits by themselves, on features made up."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression as Fit

from text_uda.errors import SettingsError
from text_uda.keyed_random import keyed_generator
from text_uda.objectives import Baseline, Linear, LogisticRegression, SelfTraining, logistic_regression
from text_uda.objectives.logistic_regression import DEFAULT_STRENGTH, STRENGTHS, held_out_errors, scale_features
from text_uda.objectives.self_training import most_confident


def clouds(*counts: int, spread: float = 1.0, key: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """So many rows of each class around a corner of its own, at a distance of 20 from the origin."""
    generator = keyed_generator("clouds", key)
    labels = np.repeat(np.arange(len(counts)), counts)
    features = np.eye(len(counts), 6)[labels] + spread * generator.normal(size=(len(labels), 6))
    return 20 * features / np.linalg.norm(features, axis=-1, keepdims=True), labels


@pytest.mark.parametrize("counts", [(6, 7), (5, 5, 8)])
def test_its_probabilities_are_those_of_scikit_learn(counts):
    features, labels = clouds(*counts)
    found = LogisticRegression(C=3.0).fit(features, labels, features[:0], classes=len(counts), seed=0)
    expected = Fit(C=3.0, max_iter=10_000, tol=1e-8).fit(features / 20, labels).predict_proba(features / 20)
    assert found.probabilities(features) == pytest.approx(expected, abs=1e-4)
    assert found.fit == {"C": 3.0, "folds": None} and found.warnings == ()


def test_features_of_several_lengths_are_divided_by_one_number():
    features = np.array([[3.0, 4.0], [0.0, 15.0]])
    x, scale = scale_features(features)
    assert scale == 10 and x == pytest.approx(features / 10)


def test_c_has_the_fewest_errors_on_rows_that_a_fit_has_not_seen():
    features, labels = clouds(20, 20, 20, spread=1.5)
    found = LogisticRegression().fit(features, labels, features[:0], classes=3, seed=0)
    errors = held_out_errors(scale_features(features)[0], labels, STRENGTHS, folds=5, seed=0)
    assert len(set(errors.tolist())) > 1 and found.fit["C"] == STRENGTHS[errors.argmin()]
    clear, labels = clouds(20, 20, spread=0.05)
    tied = LogisticRegression().fit(clear, labels, clear[:0], classes=2, seed=0)
    assert tied.fit["C"] == min(STRENGTHS), "of several without an error the strongest penalty"


def test_equal_rows_are_held_out_together():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 20))
    labels = generator.integers(2, size=60)  # noise: nothing can be learned, but copies can be remembered
    twice, of_twice = np.concatenate([x, x]), np.concatenate([labels, labels])
    (alone,), (errors,) = (
        held_out_errors(*rows, [1000.0], folds=5, seed=0) for rows in ((x, labels), (twice, of_twice))
    )
    assert errors >= 1.7 * alone and alone > 15, "a copy in the training rows would give its label away"
    fit = LogisticRegression().fit(
        np.repeat(x[:6], 9, axis=0), np.repeat([0, 0, 0, 1, 1, 1], 9), x[:0], classes=2, seed=0
    )
    assert fit.fit["folds"] == 3, "as many as a class has different rows"


def test_held_out_errors_are_those_of_scikit_learn():
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    from text_uda.keyed_random import keyed_seed

    features, labels = clouds(12, 12, 12)
    x, _ = scale_features(features)
    folds = StratifiedKFold(4, shuffle=True, random_state=keyed_seed("folds", 1) % 2**32)
    expected = [
        (cross_val_predict(Fit(C=strength, max_iter=10_000), x, labels, cv=folds) != labels).sum()
        for strength in (0.01, 2.0)
    ]
    assert held_out_errors(x, labels, [0.01, 2.0], folds=4, seed=1).tolist() == expected and min(expected) > 0


@pytest.mark.parametrize(("counts", "folds"), [((9, 9), 5), ((9, 3), 3), ((2, 9), 2)])
def test_there_are_no_more_folds_than_the_rarest_class_has_labels(counts, folds):
    features, labels = clouds(*counts)
    assert LogisticRegression().fit(features, labels, features[:0], classes=2, seed=0).fit["folds"] == folds


def test_with_one_label_of_a_class_c_is_fixed_and_that_is_said():
    features, labels = clouds(1, 8)
    found = LogisticRegression().fit(features, labels, features[:0], classes=2, seed=0)
    assert found.fit == {"C": DEFAULT_STRENGTH, "folds": None}
    assert "a class has one label" in found.warnings[0]
    assert LogisticRegression(C=2.0).fit(features, labels, features[:0], classes=2, seed=0).warnings == ()


def test_a_rare_class_that_was_not_drawn_is_not_said_to_have_one_label(monkeypatch):
    monkeypatch.setattr(logistic_regression, "MAX_CROSS_VALIDATION_ROWS", 10)
    features, labels = clouds(2, 80)
    found = LogisticRegression().fit(features, labels, features[:0], classes=2, seed=0)
    assert "a class has less than two of the 10 sampled labels" in found.warnings[0]


def test_the_most_confident_of_each_class_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3], [0.8, 0.2]])
    assert most_confident(probabilities, 0.5).tolist() == [0, 2, 4], "two of four, and one of one"
    assert most_confident(probabilities, 1.0).tolist() == [0, 1, 2, 3, 4]
    assert most_confident(probabilities, 0.01).tolist() == [0, 2]


def test_self_training_learns_from_the_unlabeled_rows():
    features, labels = clouds(2, 2, 2, spread=0.3, key=1)
    unlabeled, hidden = clouds(60, 60, 60, spread=0.3, key=2)
    test, expected = clouds(200, 200, 200, spread=0.3, key=3)
    errors = [
        (
            each.fit(features, labels, unlabeled, classes=3, seed=0).probabilities(test).argmax(axis=-1) != expected
        ).mean()
        for each in (LogisticRegression(), SelfTraining())
    ]
    assert errors[1] < errors[0]
    found = SelfTraining(rounds=3, share=0.5).fit(features, labels, unlabeled, classes=3, seed=0)
    counts = found.fit["pseudo_labeled"]
    assert isinstance(counts, list) and len(counts) == 3
    assert [round(count / len(hidden), 1) for count in counts] == [0.2, 0.3, 0.5]


def test_one_round_by_hand():
    features, labels = clouds(3, 3)
    unlabeled, _ = clouds(5, 5, key=4)
    first = LogisticRegression().fit(features, labels, unlabeled, classes=2, seed=0)
    guesses = first.probabilities(unlabeled).argmax(axis=-1)
    found = SelfTraining(rounds=1).fit(features, labels, unlabeled, classes=2, seed=0)
    fit = Fit(C=float(first.fit["C"]), max_iter=10_000, tol=1e-8)  # pyright: ignore[reportArgumentType]
    fit.fit(np.concatenate([features, unlabeled]) / 20, np.concatenate([labels, guesses]))
    assert found.probabilities(unlabeled) == pytest.approx(fit.predict_proba(unlabeled / 20), abs=1e-4)


def test_a_linear_layer():
    layer = Linear(weight=np.array([[1.0], [0.0]]), bias=np.array([0.0, 1.0]))
    assert layer.probabilities(np.array([[1.0], [1000.0]])) == pytest.approx(np.array([[0.5, 0.5], [1.0, 0.0]]))


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (LogisticRegression, {"C": 0.0}),
        (LogisticRegression, {"folds": 1}),
        (SelfTraining, {"rounds": 0}),
        (SelfTraining, {"share": 0.0}),
        (SelfTraining, {"share": 1.1}),
    ],
)
def test_settings_out_of_range(kind, wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        kind(**wrong)


def test_both_are_baselines_and_no_objectives():
    from text_uda.objectives import Objective, Supervised

    for baseline in (LogisticRegression(), SelfTraining()):
        assert isinstance(baseline, Baseline) and not isinstance(baseline, Objective)
    assert not isinstance(Supervised(), Baseline)


def test_of_many_labels_some_choose_c_and_all_are_fitted(monkeypatch):
    features, labels = clouds(40, 40, spread=1.5)
    seen = []
    monkeypatch.setattr(logistic_regression, "MAX_CROSS_VALIDATION_ROWS", 30)
    monkeypatch.setattr(
        logistic_regression, "held_out_errors", lambda x, *_, **__: seen.append(len(x)) or np.array([1, 0, 2])
    )
    found = LogisticRegression().fit(features, labels, features[:0], classes=2, seed=0)
    whole = LogisticRegression(C=STRENGTHS[1]).fit(features, labels, features[:0], classes=2, seed=0)
    assert seen == [30] and found.fit["C"] == STRENGTHS[1]
    assert np.array_equal(found.weight, whole.weight)
