"""A fused model: its texts have other columns, which a submodule `fusion` joins with the text.

As a submodule it is trained, averaged, kept in checkpoints and moved to a GPU with the model. What it does is in
`text_uda.fusion`, one way in each file.

Shapes: B rows, D width of the features, H of the input of the last linear layer, C classes, M numbers of the columns.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from text_uda.errors import SettingsError
from text_uda.model.inputs import Inputs

ATTRIBUTE = "fusion"


class ColumnJoin(nn.Module):
    """The weights that join columns with a text, and where. It changes nothing: a fusion overrides one of its parts."""

    joins_features = False
    """Whether it joins at the features that the head reads, which then are computed first."""

    def joins_before(self, layer: int) -> bool:
        """Whether states after `layer` layers have the columns in them."""
        return False

    def features(self, features: Float[Tensor, "B D"], columns: Float[Tensor, "B M"]) -> Float[Tensor, "B D"]:
        return features

    @contextmanager
    def joined(self, model: PreTrainedModel, columns: Float[Tensor, "B M"]) -> Iterator[None]:
        """A block in which the modules of the model read the columns of its rows."""
        yield

    def logits(self, text: Float[Tensor, "B C"], columns: Float[Tensor, "B M"]) -> Float[Tensor, "B C"]:
        """The logits of rows, from those that the model gives."""
        return text


def column_join_of(model: Any) -> ColumnJoin | None:
    return getattr(model, ATTRIBUTE, None)


def join_weights(model: Any) -> set[nn.Parameter]:
    """The weights that join the columns of a model; none of another model."""
    join = column_join_of(model)
    return set() if join is None else set(join.parameters())


def needed_columns(inputs: Inputs) -> Float[Tensor, "B M"]:
    """Raises SettingsError for texts alone: a fused model does not answer from them in silence."""
    if inputs.columns is None:
        raise SettingsError("this model reads a text together with the other columns of its row, and these are missing")
    return inputs.columns


def last_linear(model: PreTrainedModel) -> nn.Linear:
    """The linear layer that computes the logits of a text."""
    classes = model.config.num_labels
    candidates = [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == classes and not name.startswith(f"{ATTRIBUTE}.")
    ]
    if not candidates:
        raise SettingsError(f"a {model.config.model_type!r} model has no linear layer that computes the logits")
    return candidates[-1]
