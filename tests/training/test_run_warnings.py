"""Warnings in words, as a function of the metrics."""

from collections.abc import Sequence

import numpy as np
import pytest

from text_uda.keyed_random import keyed_generator
from text_uda.runs.evaluation import Evaluation
from text_uda.training.run_warnings import RunWarnings, warnings_at_the_end, warnings_in


def trained(step: int, **terms: float) -> dict:
    return {"kind": "train", "step": step, **terms}


def looked(step: int, confusion: list[list[int]]) -> dict:
    """As `Metrics.look` writes it, without the figures that nothing warns by."""
    error = 100 * (1 - np.trace(confusion) / np.sum(confusion))
    evaluation = Evaluation(error=error, macro_f1=0.0, balanced_error=0.0, per_class=(), confusion=confusion)
    return {"kind": "dev", "step": step, "error": error, **evaluation.shares()}


def right(share: float, support: Sequence[int]) -> list[list[int]]:
    """Of each class this share is right; the others go round."""
    table = np.zeros((len(support), len(support)), dtype=int)
    for place, rows in enumerate(support):
        table[place, place] = round(share * rows)
        for number in range(rows - table[place, place]):
            table[place, (place + 1 + number % (len(support) - 1)) % len(support)] += 1
    return table.tolist()


def all_as(place: int, support: Sequence[int]) -> list[list[int]]:
    return [[rows if guess == place else 0 for guess in range(len(support))] for rows in support]


BALANCED, SKEWED, FEW, RARE = [100, 100], [740, 90, 40, 40, 50, 40], [4] * 6, [22, 2]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "unlabeled_loss",
            "step 111: the unlabeled loss is zero in all logged steps since 11: no",
        ),
        (
            "labeled_counted",
            "step 111: no labeled row counts in any logged step since 11: training",
        ),
    ],
)
def test_a_term_that_is_zero_for_long(name, said):
    records = [trained(step, **{name: 0.5 if step < 10 else 0.0}) for step in range(1, 150, 10)]
    (words,) = warnings_in(records, steps=200)
    assert words.startswith(said)
    assert not warnings_in(records, steps=4000), "patience is a part of a long run"
    assert not warnings_in([trained(step, **{name: float(step % 20 == 1)}) for step in range(1, 400, 10)], steps=200)
    assert not warnings_in([trained(step, **{name: 1e-7}) for step in range(1, 400, 10)], steps=200)


def test_a_run_without_the_term_is_not_warned_of_it():
    assert not warnings_in([trained(step, loss=0.0) for step in range(1, 400, 10)], steps=200)


@pytest.mark.parametrize("support", [BALANCED, SKEWED, FEW, [92, 8]])
def test_a_collapse_that_lasts_is_told_once(support):
    records = [looked(100, right(0.6, support)), *(looked(step, all_as(0, support)) for step in (200, 300, 400, 500))]
    watch = RunWarnings(800)
    told = [(record["step"], words) for record in records for words in watch.read(record)]
    ((step, words),) = told
    assert step == 300 and "100% of the development rows are predicted as one class, which is the label of" in words
    assert f"{support[0] / sum(support):.0%}: the model has collapsed" in words
    assert not [words for words in watch.end() if "collapsed" in words or "never" in words]


def test_a_collapse_at_the_last_step_is_told_at_the_end():
    records = [looked(4, right(0.6, BALANCED)), looked(8, [[99, 1], [92, 8]])]
    assert not [words for record in records for words in RunWarnings(8).read(record)]
    assert [
        "step 8: 96% of the development rows are predicted" in words for words in warnings_in(records, steps=8)
    ] == [True]


def test_a_model_that_begins_with_one_class_is_not_warned_of():
    records = [looked(50, all_as(0, BALANCED)), looked(100, all_as(1, BALANCED)), looked(150, right(0.8, BALANCED))]
    assert not warnings_in(records, steps=400)


def test_a_class_predicted_far_more_often_than_it_is_there_is_a_collapse_though_another_is_as_frequent():
    (words,) = warnings_in([looked(8, all_as(1, SKEWED))], steps=8)
    assert "which is the label of 9%: the model has collapsed" in words


@pytest.mark.parametrize(
    ("confusion", "why"),
    [
        (right(0.9, BALANCED), "good"),
        (right(0.5, BALANCED), "as good as chance, and not of one class"),
        (right(0.95, SKEWED), "most rows are predicted as the class that most are of"),
        ([[735, 5, 0, 0, 0, 0], *([30 * (p == 0) + 10 * (p == q) for p in range(6)] for q in range(1, 6))], "timid"),
        (all_as(0, RARE), "two rows of 24 are lost by chance"),
        ([[92, 0], [5, 3]], "95% as one class, which 92% are of"),
        (all_as(0, [3, 3]), "three rows"),
        ([[4, 0, 0, 0, 0, 0], *([[4 * (p == q) for p in range(6)] for q in range(1, 5)]), [4, 0, 0, 0, 0, 0]], "four"),
    ],
)
def test_no_collapse_where_there_is_none(confusion, why):
    assert not warnings_in([looked(step, confusion) for step in (100, 200, 300, 400)], steps=400), why


@pytest.mark.parametrize(
    ("confusion", "said"),
    [
        (
            [[90, 10, 0], [20, 80, 0], [50, 50, 0]],
            "1 class is never predicted after the last step, although 33% of the",
        ),
        ([[4 * (p == q % 3) for p in range(6)] for q in range(6)], "3 classes are never predicted after the last step"),
    ],
)
def test_classes_that_are_never_predicted(confusion, said):
    support = [sum(row) for row in confusion]
    records = [looked(4, confusion), looked(8, confusion)]
    (words,) = warnings_in(records, steps=8)
    assert words.startswith(f"step 8: {said}") and f"{sum(support)} development rows" in words
    assert not warnings_in([*records, looked(12, right(0.8, support))], steps=12), "only what is so at the end"


@pytest.mark.parametrize(("rows", "best", "last"), [(24, 0.92, 0.3), (200, 0.9, 0.75), (1000, 0.9, 0.84)])
def test_an_error_far_above_the_best_is_told(rows, best, last):
    """The example of 24 rows is a run of AdaMatch: 7.4 chosen, 66.2 at the last step."""
    support = [rows // 2] * 2
    records = [looked(step, right(share, support)) for step, share in ((100, best), (200, best), (300, last))]
    (words,) = warnings_in(records, steps=300)
    assert (
        words.startswith("step 300: the development error is") and "at step 100, more than chance explains on" in words
    )
    assert words == warnings_at_the_end(records, steps=300)[0]
    assert not [words for record in records for words in RunWarnings(300).read(record)]


@pytest.mark.parametrize(("rows", "best", "last"), [(24, 0.92, 0.75), (200, 0.9, 0.85), (1000, 0.9, 0.86), (4, 1, 0.5)])
def test_a_rise_that_is_small_or_by_chance_is_not(rows, best, last):
    support = [rows // 2] * 2
    assert not warnings_in([looked(100, right(best, support)), looked(200, right(last, support))], steps=200)


@pytest.mark.parametrize("support", [FEW, [2, 2], [15, 5, 3, 1], [250] * 4, [18, 2, 1, 1, 1, 1]])
def test_models_that_are_equally_good_are_hardly_ever_warned_of(support):
    """Even where each look errs on rows of its own, which is the worst case: weights of one run err on the same."""
    random, warned = keyed_generator("looks"), 0
    labels = np.repeat(np.arange(len(support)), support)
    for _ in range(200):
        records = []
        for step in range(100, 1300, 100):
            wrong = random.random(len(labels)) < 0.3
            guesses = np.where(wrong, random.choice(labels, len(labels)), labels)
            confusion = np.zeros((len(support), len(support)), dtype=int)
            np.add.at(confusion, (labels, guesses), 1)
            records.append(looked(step, confusion.tolist()))
        warned += bool(warnings_in(records, steps=1200))
    assert warned <= 200 * 0.02


def test_a_run_that_was_stopped_warns_of_the_same():
    looks = [looked(step, all_as(0, BALANCED)) for step in (100, 200, 300)]
    watch = RunWarnings(400)
    assert not list(watch.read(looks[0])) and list(watch.read(looks[1]))
    assert not list(watch.read(looks[2])), "what was told before a stop is not told again"
    assert len(warnings_in(looks, steps=400)) == 1 and not warnings_at_the_end(looks, steps=400)


def test_a_version_that_wrote_less_of_the_development_rows():
    assert not warnings_in([{"kind": "dev", "step": 400, "error": 50.0, "largest_class_share": 1.0}], steps=400)


def test_a_language_model_has_no_classes():
    assert not warnings_in([{"kind": "dev", "step": 10, "loss": 3.0, "perplexity": 20.1}], steps=100)
