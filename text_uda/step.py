"""One training step as a module: its forward is one batch, and it is what `accelerate` wraps."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from text_uda.augment.in_step import InStep, augmented_view
from text_uda.batch import Batch, Embedded, Inputs, Tokens, concatenate
from text_uda.model import embed, logits, number_of_classes
from text_uda.objectives import Context, Objective


class Step(nn.Module):
    """Sums the objectives over one batch.

    The original view is run without gradient: no objective here lets one through it. Labeled and augmented rows share
    one forward.

    Args:
        augmentation: makes the augmented view of a batch that comes without.
        special: the ids that an augmentation leaves alone, (S,); see `special_ids`.
    """

    special: Tensor

    def __init__(
        self,
        model: PreTrainedModel,
        objectives: Sequence[Objective],
        *,
        steps: int,
        augmentation: InStep | None = None,
        special: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.objectives = tuple(objectives)
        self.steps = steps
        self.augmentation = augmentation
        self.register_buffer("special", torch.empty(0).long() if special is None else special, persistent=False)
        self._state_names: list[dict[str, str]] = []
        for index, objective in enumerate(self.objectives):
            names = {}
            for name, value in objective.initial_state(number_of_classes(model)).items():
                names[name] = f"objective_{index}_{name}"
                self.register_buffer(names[name], value)
            self._state_names.append(names)

    def forward(
        self, batch: Batch, step: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Returns the loss, a scalar, and its named terms.

        Args:
            generator: of the augmented view, where the step makes it.
        """
        terms: dict[str, Tensor | float] = {}
        original_logits = augmented_logits = None
        augmented = batch.augmented
        if augmented is None and batch.original is not None and self.augmentation is not None:
            assert isinstance(batch.original, Tokens) and generator is not None
            augmented, changed = augmented_view(self.augmentation, self.model, batch.original, self.special, generator)
            terms["changed"] = changed
        if batch.original is None or augmented is None:
            labeled_logits = logits(self.model, batch.labeled)  # (L, C)
        else:
            with torch.no_grad():
                original_logits = logits(self.model, batch.original).float()  # (U, C)
            joint = logits(self.model, self._together(batch.labeled, augmented))
            labeled_logits, augmented_logits = joint.float().split([len(batch.labeled), len(augmented)])
        total = torch.zeros((), device=labeled_logits.device)
        for objective, names in zip(self.objectives, self._state_names, strict=True):
            state = {name: self.get_buffer(buffer) for name, buffer in names.items()}
            context = Context(labeled_logits.float(), original_logits, augmented_logits, step, self.steps, state)
            loss = objective(context, batch)
            total = total + loss.total
            terms |= loss.terms
        return total, terms

    def _together(self, labeled: Inputs, augmented: Inputs) -> Inputs:
        """L and U rows under each other; labeled tokens are embedded where the augmented ones are."""
        if isinstance(augmented, Embedded) and isinstance(labeled, Tokens):
            labeled = embed(self.model, labeled)
        return concatenate([labeled, augmented], pad_id=self.model.config.pad_token_id or 0)
