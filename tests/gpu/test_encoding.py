"""Features and predictions: on the GPU, and those of a CPU."""

import numpy as np
import torch

from text_uda.model.cuda import default_device
from text_uda.model.frozen_encoder import FrozenEncoder
from text_uda.model.pretrained import load_classifier

TEXTS = [f"the {thing} was {word} and not {other}" for thing in ("film", "plot", "scene", "story")
         for word in ("good", "bad", "great") for other in ("dull", "fine", "the best of all")]  # fmt: skip


def test_features_are_those_of_a_cpu(tiny_bert, device):
    def features(place: torch.device, precision) -> np.ndarray:
        classifier = load_classifier(str(tiny_bert), ("bad", "good"), seed=0)
        encoder = FrozenEncoder(classifier.model.to(place), classifier.tokenizer, max_tokens=32, precision=precision)
        return encoder.rows(TEXTS).values.numpy()

    exact = features(torch.device("cpu"), "fp32")
    norms = np.linalg.norm(exact, axis=1)
    assert (np.linalg.norm(features(device, "fp32") - exact, axis=1) / norms).max() < 1e-4
    assert (np.linalg.norm(features(device, "bf16") - exact, axis=1) / norms).max() < 0.03


def test_the_default_device_is_the_gpu(cuda):
    assert default_device() == cuda and torch.get_float32_matmul_precision() == "highest"
