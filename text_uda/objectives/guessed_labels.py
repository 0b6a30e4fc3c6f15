"""Guessed labels of unlabeled rows, for the objectives that mix rows."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from text_uda.model.classifier import Classifier
from text_uda.model.inputs import Batch, Inputs, concatenate
from text_uda.objectives.functional import sharpen


@torch.no_grad()
def guess_labels(student: Classifier, views: Sequence[Inputs], *, temperature: float) -> Float[Tensor, "U C"]:
    """sharpen( mean over the views of p(y|x), T ), one pass with dropout for each view, no gradient.

    Berthelot et al. 2019, MixMatch (arXiv 1905.02249), Equations 6 and 7.
    """
    predictions = [student(view).logits.softmax(dim=-1) for view in views]
    torch.clear_autocast_cache()  # older PyTorch reuses these casts, which have no gradient
    return sharpen(torch.stack(predictions).mean(dim=0), temperature)


def join_rows(
    student: Classifier, batch: Batch, views: Sequence[Inputs], guessed: Float[Tensor, "U C"]
) -> tuple[Inputs, Float[Tensor, "rows C"]]:
    """The labeled rows followed by each view of the unlabeled rows, as embeddings or features, and their soft labels.

    Args:
        guessed: labels of the unlabeled rows, the same for each view.
    Returns:
        L + k U rows for k views; their labels.
    """
    rows = concatenate([student.embed(part) for part in (batch.labeled, *views)], pad_id=0)
    labels = one_hot(batch.labels, guessed.shape[1]).to(guessed.dtype)
    return rows, torch.cat([labels, *(guessed for _ in views)])
