"""Studies and the demo encode on the GPU, and free the models that made paraphrases."""

from types import SimpleNamespace

import pytest
import torch

from text_uda.experiment import demo, preparation, trial
from text_uda.experiment.trial import TrialRunner

META = torch.device("meta")


@pytest.fixture
def encoders(monkeypatch):
    """The models that get a frozen encoder, on a machine whose device is called meta."""
    models = []

    def remember(model, *_arguments, **_named):
        models.append(model)
        return SimpleNamespace()

    for module, name in ((trial, "FrozenEncoder"), (demo, "encoder_of")):
        monkeypatch.setattr(module, "default_device", lambda: META)
        monkeypatch.setattr(module, name, remember)
    return models


def test_a_study_encodes_on_the_device(encoders, head, reviews, tmp_path):
    runner = TrialRunner(data={"source": str(reviews)}, cache="", runs=tmp_path, features=tmp_path)
    assert runner.frozen(head) is runner.frozen(head)
    assert [model.device for model in encoders] == [META]


def test_the_demo_encodes_on_the_device(encoders, monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "train", lambda *_arguments, **_named: None)
    monkeypatch.setattr(demo, "augmentations", dict)
    splits = {0: SimpleNamespace(classes=("bad", "good"))}
    demo.train_all(splits, None, tmp_path)
    assert [model.device for model in encoders] == [META]


def test_the_models_of_all_engines_are_dropped(monkeypatch):
    dropped = []
    for name in ("network", "open_translator", "load_network"):
        assert callable(getattr(preparation, name).cache_clear)
        fake = SimpleNamespace(cache_clear=lambda name=name: dropped.append(name))
        monkeypatch.setattr(preparation, name, fake)
    monkeypatch.setattr(preparation, "free_memory", lambda: dropped.append("memory"))
    preparation._drop_models()
    assert sorted(dropped[:-1]) == ["load_network", "network", "open_translator"] and dropped[-1] == "memory"
