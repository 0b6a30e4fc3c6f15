"""One training step as a module: its forward is one batch, and it is what `accelerate` wraps."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from text_uda.batch import Batch, concatenate
from text_uda.model import logits, number_of_classes
from text_uda.objectives import Context, Objective


class Step(nn.Module):
    """Sums the objectives over one batch.

    The original view is run without gradient: no objective here lets one through it. Labeled and augmented rows share
    one forward.
    """

    def __init__(self, model: PreTrainedModel, objectives: Sequence[Objective], *, steps: int) -> None:
        super().__init__()
        self.model = model
        self.objectives = tuple(objectives)
        self.steps = steps
        self._state_names: list[dict[str, str]] = []
        for index, objective in enumerate(self.objectives):
            names = {}
            for name, value in objective.initial_state(number_of_classes(model)).items():
                names[name] = f"objective_{index}_{name}"
                self.register_buffer(names[name], value)
            self._state_names.append(names)

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Returns the loss, a scalar, and its named terms."""
        pad_id = self.model.config.pad_token_id or 0
        original_logits = augmented_logits = None
        if batch.original is None or batch.augmented is None:
            labeled_logits = logits(self.model, batch.labeled)  # (L, C)
        else:
            with torch.no_grad():
                original_logits = logits(self.model, batch.original).float()  # (U, C)
            joint = logits(self.model, concatenate([batch.labeled, batch.augmented], pad_id=pad_id))
            labeled_logits, augmented_logits = joint.float().split([len(batch.labeled), len(batch.augmented)])
        total = torch.zeros((), device=labeled_logits.device)
        terms: dict[str, Tensor | float] = {}
        for objective, names in zip(self.objectives, self._state_names, strict=True):
            state = {name: self.get_buffer(buffer) for name, buffer in names.items()}
            context = Context(labeled_logits.float(), original_logits, augmented_logits, step, self.steps, state)
            loss = objective(context, batch)
            total = total + loss.total
            terms |= loss.terms
        return total, terms
