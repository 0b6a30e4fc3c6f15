"""The estimated cost of a study."""

from dataclasses import replace

import pytest
import torch

from text_uda.augment import SwitchOut
from text_uda.data import Corpus, Rows
from text_uda.experiment import Trial, cost
from text_uda.objectives import UDA, LogisticRegression, Supervised

CORPUS = Corpus("toy", "", ("a", "b"), Rows(("good film",) * 40, (0, 1) * 20), Rows(("bad film",), (0,)))


def test_by_hand(head, monkeypatch):
    """[CLS] good film [SEP]: 4 tokens; 4 labeled rows, and 12 unlabeled ones twice."""
    monkeypatch.setattr(cost, "_rows_per_s", lambda *_: 5.0)
    alone = Trial(name="none", labels=2, settings=head)
    both = replace(
        alone,
        name="uda",
        objectives=(Supervised(), UDA()),
        augmentation=SwitchOut(tokenizer=head.encoder),
    )
    estimate = cost.estimate_cost([alone, both], CORPUS, workers=2)
    assert estimate.tokens == 6 * 4 * 4 + 6 * 4 * (4 + 2 * 12)
    assert estimate.tokens_per_s == 20 and estimate.hours == pytest.approx(estimate.tokens / 20 / 2 / 3600)
    assert "2 runs, 2 in parallel" in str(estimate) and "minutes of training" in str(estimate)
    assert "hours of training" in str(replace(estimate, hours=2.0)) and estimate.record()["runs"] == 2


def test_what_is_trained_has_a_speed_of_its_own(head, monkeypatch):
    """A study of both was once measured on the head alone, and took a hundred times the estimate."""
    monkeypatch.setattr(cost, "_rows_per_s", lambda _, settings, minutes: {"head": 500.0, "all": 5.0}[settings.tune])
    settings = {tune: replace(head, tune=tune, learning_rate=1e-3) for tune in ("head", "all")}
    trials = [Trial(name=tune, labels=2, settings=each) for tune, each in settings.items()]
    trials.append(Trial(name="fit", labels=2, settings=head, objectives=(LogisticRegression(),)))
    estimate = cost.estimate_cost(trials, CORPUS, workers=1)
    assert estimate.hours == pytest.approx(6 * 4 * (1 / 500 + 1 / 5) / 3600)
    assert cost.estimate_cost(trials[2:], CORPUS, workers=1).hours == 0


def test_a_speed_is_that_of_a_worker_with_its_share_of_the_cores(head, monkeypatch):
    monkeypatch.setattr(cost, "threads_of_worker", lambda workers: {3: 5}[workers])
    before, seen = torch.get_num_threads(), []
    monkeypatch.setattr(cost, "_rows_per_s", lambda *_: seen.append(torch.get_num_threads()) or 5.0)
    trials = [Trial(name=f"none-{n}", labels=2, settings=head) for n in range(3)]
    cost.estimate_cost(trials, CORPUS, workers=3)
    assert seen == [5] and torch.get_num_threads() == before


@pytest.mark.parametrize("tune", ["head", "all"])
def test_a_speed_is_measured(head, tune, capfd):
    corpus = replace(CORPUS, train=Rows(tuple(f"good film {n}" for n in range(40)), (0, 1) * 20))
    trial = Trial(name="none", labels=2, settings=replace(head, tune=tune, learning_rate=1e-3))
    estimate = cost.estimate_cost([trial], corpus, minutes=0.02)
    assert 0 < estimate.hours < 1 and estimate.tokens_per_s > 100
    assert "steps/s" not in capfd.readouterr().err
