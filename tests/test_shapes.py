"""The annotations of tensors are checked while tests run, and only then."""

import subprocess
import sys

import pytest
import torch
from jaxtyping import TypeCheckError

from text_uda.model.inputs import Tokens
from text_uda.model.micro_batches import lengths_to_last_token
from text_uda.objectives.functional import align, kl_divergence, sharpen
from text_uda.objectives.hard_pseudo_labels import pseudo_label_loss


def test_rows_have_to_agree():
    target, logits = torch.full((3, 2), 0.5), torch.zeros(3, 2)
    assert kl_divergence(target, logits).shape == (3,)
    with pytest.raises(TypeCheckError, match="logits"):
        kl_divergence(target, logits[:1])  # torch would broadcast it


def test_classes_have_to_agree():
    with pytest.raises(TypeCheckError, match="prior"):
        align(torch.full((3, 2), 0.5), torch.full((2,), 0.5), torch.ones(1))


def test_the_dtype_has_to_agree():
    with pytest.raises(TypeCheckError, match="labels"):
        pseudo_label_loss(torch.zeros(3, 2), torch.zeros(3), torch.ones(3))
    with pytest.raises(TypeCheckError, match="mask"):
        lengths_to_last_token(torch.ones(2, 4))


def test_fields_have_to_agree():
    with pytest.raises(TypeCheckError, match="attention_mask"):
        Tokens(torch.ones(2, 4, dtype=torch.long), torch.ones(2, 3, dtype=torch.long))


def test_results_are_checked(monkeypatch):
    monkeypatch.setattr("text_uda.objectives.functional.log_softmax", lambda logits, dim: logits.flatten())
    with pytest.raises(TypeCheckError, match="return value"):
        sharpen(torch.full((3, 2), 0.5), 0.5)


def test_a_program_pays_nothing():
    code = (
        "import sys, torch; from text_uda.objectives.functional import kl_divergence; "
        "kl_divergence(torch.full((3, 2), 0.5), torch.zeros(1, 2)); assert 'beartype' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
