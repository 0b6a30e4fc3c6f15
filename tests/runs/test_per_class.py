"""Scores of each class: by hand, and against scikit-learn on the rows themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score

from text_uda.runs.evaluation import score
from text_uda.runs.per_class import ClassScores, class_scores, is_skewed, named

BY_HAND = [[8, 2, 0], [1, 1, 0], [2, 0, 0]]
"""10, 2 and 2 rows; 11, 3 and none predicted."""


def predicted(confusion: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, C) and labels (N,) with this confusion."""
    pairs = [(true, guess) for true, row in enumerate(confusion) for guess, n in enumerate(row) for _ in range(n)]
    true, guess = np.array(pairs).T
    return np.eye(len(confusion))[guess], true


def test_by_hand():
    scores = class_scores(BY_HAND)
    first, second, third = scores.per_class
    assert [each.support for each in scores.per_class] == [10, 2, 2]
    assert (first.precision, first.recall) == (pytest.approx(800 / 11), pytest.approx(80))
    assert (second.precision, second.recall, second.f1) == (
        pytest.approx(100 / 3),
        pytest.approx(50),
        pytest.approx(40),
    )
    assert third == ClassScores(precision=None, recall=0.0, f1=0.0, support=2)
    assert first.f1 == pytest.approx(1600 / 21)
    assert scores.macro_f1 == pytest.approx((1600 / 21 + 40 + 0) / 3)
    assert scores.balanced_error == pytest.approx(100 - (80 + 50 + 0) / 3)


def test_a_class_without_rows_counts_where_it_is_predicted_wrongly():
    """As in scikit-learn: in macro-F1, with 0, and in no balanced error."""
    absent, wrong = class_scores([[4, 0, 0], [0, 4, 0], [0, 0, 0]]), class_scores([[4, 0, 0], [0, 3, 1], [0, 0, 0]])
    assert absent.per_class[2] == ClassScores(precision=None, recall=None, f1=None, support=0)
    assert (absent.macro_f1, absent.balanced_error) == (100, 0)
    assert wrong.per_class[2] == ClassScores(precision=0.0, recall=None, f1=0.0, support=0)
    assert wrong.macro_f1 == pytest.approx(100 * (1 + 6 / 7) / 3) and wrong.balanced_error == pytest.approx(12.5)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@given(st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=4, max_size=4))
def test_scikit_learn_says_the_same_of_the_rows(confusion):
    if not np.sum(confusion):
        return
    probabilities, labels = predicted(confusion)
    evaluation, guess = score(probabilities, labels), probabilities.argmax(axis=-1)
    assert evaluation.macro_f1 == pytest.approx(100 * f1_score(labels, guess, average="macro", zero_division=0))
    if len(set(labels)) > 1:  # of one class scikit-learn warns
        assert evaluation.balanced_error == pytest.approx(100 * (1 - balanced_accuracy_score(labels, guess)))
    assert evaluation.confusion == confusion and evaluation.rows == len(labels)


def test_an_evaluation_tells_shares():
    evaluation = score(*predicted(BY_HAND))
    assert evaluation.error == pytest.approx(500 / 14)
    assert evaluation.shares() == pytest.approx(
        {
            "rows": 14,
            "classes": 3,
            "majority_share": 10 / 14,
            "largest_class_share": 11 / 14,
            "label_share_of_it": 10 / 14,
            "never_predicted": 1,
            "share_never_predicted": 2 / 14,
        }
    )
    assert evaluation.figures("dev").keys() == {"dev_error", "dev_macro_f1", "dev_balanced_error"}


def test_a_criterion_is_the_lower_the_better():
    good, bad = score(*predicted([[9, 1], [2, 8]])), score(*predicted([[10, 0], [9, 1]]))
    for by in ("error", "macro-f1", "balanced-error"):
        assert good.criterion(by) < bad.criterion(by)
    assert bad.criterion("macro-f1") == pytest.approx(100 - bad.macro_f1)
    assert bad.criterion("balanced-error") == bad.balanced_error == pytest.approx(45)


@pytest.mark.parametrize(
    ("support", "skewed"), [([75, 25], False), ([76, 24], True), ([50, 50], False), ([74, 9, 4, 4, 4, 4], True)]
)
def test_which_rows_are_skewed(support, skewed):
    assert is_skewed(support) is skewed


def test_a_result_names_the_classes():
    first, *_ = named(class_scores([[3, 1], [0, 4]]).per_class, ("bad", "good"))
    assert first == {"class": "bad", "precision": 100.0, "recall": 75.0, "f1": pytest.approx(600 / 7), "support": 4}
