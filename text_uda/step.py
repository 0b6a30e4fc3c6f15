"""One training step as a module: its forward is one batch, and it is what `accelerate` wraps."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from text_uda import distributed
from text_uda.augment.in_step import InStep, augmented_view
from text_uda.batch import Batch, Embedded, Inputs, Tokens, concatenate, widened, width_of
from text_uda.keyed import keyed_seed
from text_uda.model import Classifier, Output, at_least_float32, embed, logits, number_of_classes
from text_uda.objectives import Context, Objective, Stateful, View, all_needs, in_use


class Sum(NamedTuple):
    """What a step came to."""

    loss: Tensor  # scalar, with gradient
    parts: dict[str, Tensor]  # what each objective added to it, by the name of its class; detached
    terms: dict[str, Tensor | float]  # for the log


class Step(nn.Module):
    """Sums the objectives over one batch.

    All rows that need a gradient share one forward; the original view is run without one unless an objective asks. An
    objective of weight 0 is left out altogether, so that a run with it is bit for bit the run without it.

    Args:
        augmentation: makes the second view of a batch that comes without.
        special: the ids that an augmentation leaves alone, (S,); see `special_ids`.
        unlabeled: how many unlabeled rows the data has, for objectives that remember something of each.
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
        unlabeled: int = 0,
    ) -> None:
        super().__init__()
        self.model = model
        self.student = Classifier(model)
        self.objectives = in_use(objectives)
        self.needs = all_needs(self.objectives.values())
        self.steps = steps
        self.augmentation = augmentation
        self.register_buffer("special", torch.empty(0).long() if special is None else special, persistent=False)
        self._state_names: dict[int, dict[str, str]] = {}
        for index, objective in self.objectives.items():
            state = objective.initial_state(self._classes, unlabeled) if isinstance(objective, Stateful) else {}
            self._state_names[index] = {name: f"objective_{index}_{name}" for name in state}
            for name, value in state.items():
                self.register_buffer(self._state_names[index][name], value)

    def forward(self, batch: Batch, step: int, key: int = 0, teacher: PreTrainedModel | None = None) -> Sum:
        """The sum of the losses over one batch.

        Args:
            step: from 0.
            key: decides every draw but dropout; another one for each step.
            teacher: the model with averaged weights, where an objective needs it.
        """
        terms: dict[str, Tensor | float] = {}
        if self.needs.unlabeled_rows:
            batch = self._with_second_view(self._as_wide_everywhere(batch), key, terms)
        views = self._views(batch)
        targets = teacher_logits = None
        if self.needs.targets and "original" in views:
            targets = views["original"].logits.detach()
        with torch.no_grad():
            if self.needs.targets and targets is None and batch.original is not None:
                targets = at_least_float32(logits(self.model, batch.original))  # (U, C)
            if self.needs.teacher and batch.original is not None:
                assert teacher is not None, "the trainer averages weights where an objective needs a teacher"
                teacher_logits = at_least_float32(logits(teacher, batch.original))  # (U, C)
        total = torch.zeros((), device=batch.labels.device)
        parts: dict[str, Tensor] = {}
        for index, objective in self.objectives.items():
            context = Context(
                student=self.student,
                views=views,
                targets=targets,
                teacher_logits=teacher_logits,
                step=step,
                steps=self.steps,
                classes=self._classes,
                key=keyed_seed(key, index) >> 65,  # 63 bits
                state={name: self.get_buffer(buffer) for name, buffer in self._state_names[index].items()},
            )
            loss = objective(context, batch)
            total = total + loss.total
            parts[type(objective).__name__] = loss.total.detach()
            terms |= loss.terms
        return Sum(total, parts, terms)

    @property
    def _classes(self) -> int:
        return number_of_classes(self.model)

    def _views(self, batch: Batch) -> dict[View, Output]:
        """The joint forward: rows of all views under each other."""
        if not self.needs.views:
            return {}
        rows = [self._rows_of(view, batch) for view in self.needs.views]
        output = self.student(self._together(rows))
        sizes = [len(part) for part in rows]
        pieces = zip(output.logits.split(sizes), output.hidden.split(sizes), strict=True)
        return {view: Output(*piece) for view, piece in zip(self.needs.views, pieces, strict=True)}

    def _rows_of(self, view: View, batch: Batch) -> Inputs:
        if view in ("labeled", "labeled again"):
            return batch.labeled
        assert batch.original is not None, "the trainer gives unlabeled rows to objectives that need them"
        return batch.original if view == "original" else batch.second

    def _together(self, rows: list[Inputs]) -> Inputs:
        """All rows under each other; tokens are embedded where others are."""
        if any(isinstance(part, Embedded) for part in rows):
            rows = [embed(self.model, part) if isinstance(part, Tokens) else part for part in rows]
        return concatenate(rows, pad_id=self._pad_id)

    def _with_second_view(self, batch: Batch, key: int, terms: dict[str, Tensor | float]) -> Batch:
        """Makes the augmented view where the batch comes without and there is an augmentation."""
        if batch.augmented is not None or self.augmentation is None or not self.needs.second_view:
            return batch
        assert isinstance(batch.original, Tokens)
        generator = torch.Generator(batch.labels.device).manual_seed(
            keyed_seed(key, "augment", distributed.rank()) >> 65
        )
        view, changed = augmented_view(self.augmentation, self.model, batch.original, self.special, generator)
        terms["changed"] = changed
        return replace(batch, augmented=view)

    def _as_wide_everywhere(self, batch: Batch) -> Batch:
        """Several processes pad alike, as rows may be mixed across them."""
        if distributed.processes() == 1:
            return batch
        there = [part for part in (batch.labeled, batch.original, batch.augmented) if part is not None]
        width = distributed.most(max(map(width_of, there)), batch.labels.device)
        wide = [part and widened(part, width, pad_id=self._pad_id) for part in (batch.original, batch.augmented)]
        labeled = widened(batch.labeled, width, pad_id=self._pad_id)
        return replace(batch, labeled=labeled, original=wide[0], augmented=wide[1])

    @property
    def _pad_id(self) -> int:
        return self.model.config.pad_token_id or 0
