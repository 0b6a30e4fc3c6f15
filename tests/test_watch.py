"""Warnings in words, as a function of the metrics."""

import pytest

from text_uda.watch import Watch, warnings_in


def trained(step: int, **terms: float) -> dict:
    return {"kind": "train", "step": step, **terms}


def looked(step: int, share: float) -> dict:
    return {"kind": "dev", "step": step, "error": 50.0, "largest_class_share": share}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "unlabeled_loss",
            "step 111: the unlabeled loss has been zero in all logged steps since 11: no",
        ),
        (
            "labeled_counted",
            "step 111: no labeled row has counted in any logged step since 11: training",
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


def test_a_collapse_is_told_once():
    records = [looked(10, 0.8), looked(20, 0.95), looked(30, 1.0)]
    (words,) = warnings_in(records, steps=100)
    assert words.startswith("step 20: 95% of the development rows are predicted as one class")


def test_what_was_told_before_a_stop_is_not_told_again():
    watch = Watch(100)
    assert list(watch.see(looked(20, 0.95)))
    assert not list(watch.see(looked(30, 0.95)))


def test_a_language_model_has_no_classes():
    assert not warnings_in([{"kind": "dev", "step": 10, "loss": 3.0, "perplexity": 20.1}], steps=100)
