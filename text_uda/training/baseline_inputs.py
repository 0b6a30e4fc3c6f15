"""What a baseline reads: features of the text, or columns, or both side by side.

With columns, each of the two is divided by its mean norm over the labeled rows, so that the penalty weighs them alike.

Shapes: N rows, D features, M numbers of the columns. D is 0 where a fit reads the columns without the text.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from text_uda.fusion import ColumnsAlone, Fusion


def text_width(hidden_size: int, fusion: Fusion | None) -> int:
    """D: 0 for the columns alone."""
    return 0 if isinstance(fusion, ColumnsAlone) else hidden_size


def baseline_inputs(features: Float[Tensor, "N H"], columns: Float[Tensor, "N M"] | None, *, width: int) -> np.ndarray:
    """(N, D + M). Features without columns are not copied: self-training reads those of each unlabeled text."""
    return (features if columns is None else torch.cat([features[:, :width], columns], dim=1)).numpy()


def scales_of(labeled: np.ndarray, *, width: int) -> np.ndarray:
    """What inputs with columns are divided by, (D + M,): of features and columns the mean norm each."""
    parts = (labeled[:, :width], labeled[:, width:])
    norms = [np.linalg.norm(part, axis=1).mean() if part.size else 1.0 for part in parts]
    return np.repeat([norm or 1.0 for norm in norms], [part.shape[1] for part in parts])
