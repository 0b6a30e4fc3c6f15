"""Labels that the methods with mixing guess for unlabeled rows."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from text_uda.model.classifier import Classifier
from text_uda.model.inputs import Batch, Inputs, concatenate
from text_uda.objectives.functional import sharpen


@torch.no_grad()
def guessed_labels(student: Classifier, views: Sequence[Inputs], *, temperature: float) -> Tensor:
    """sharpen( mean over the views of p(y|x), T ), each view a pass with its own dropout, no gradient. (U, C)

    Berthelot et al. 2019, MixMatch (arXiv 1905.02249), Equations 6 and 7.
    """
    predictions = [student(view).logits.softmax(dim=-1) for view in views]
    torch.clear_autocast_cache()  # older PyTorch lends these casts, without gradient, to the next pass
    return sharpen(torch.stack(predictions).mean(dim=0), temperature)


def under_each_other(
    student: Classifier, batch: Batch, views: Sequence[Inputs], labels: Tensor
) -> tuple[Inputs, Tensor]:
    """The labeled rows and then each view of the unlabeled ones, as embeddings or features, with soft labels.

    Args:
        labels: of the unlabeled rows, (U, C).
    Returns:
        L + k U rows; (L + k U, C).
    """
    rows = concatenate([student.embed(part) for part in (batch.labeled, *views)], pad_id=0)
    known = one_hot(batch.labels, labels.shape[1]).to(labels.dtype)
    return rows, torch.cat([known, *(labels for _ in views)])
