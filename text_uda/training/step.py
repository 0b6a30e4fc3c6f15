"""One training step as a module: its forward computes the loss of one batch, and `accelerate` wraps it.

The computation of the loss is a generator that requests passes of the model and receives their outputs. `Step.forward`
answers each request by itself; several tasks that share an encoder answer their requests together (`text_uda.tasks`).
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from text_uda import distributed
from text_uda.fusion.fitted_columns import with_columns
from text_uda.fusion.fused_model import FittedFusion
from text_uda.fusion.join import ModeLosses
from text_uda.keyed_random import keyed_seed
from text_uda.model.classifier import (
    Classifier,
    ClassifierOutput,
    TokenCounts,
    at_least_float32,
    embed,
    number_of_classes,
)
from text_uda.model.inputs import Batch, Embedded, Inputs, Tokens, concatenate, pad_to_width, padded_width
from text_uda.model.joined_columns import column_join_of, needed_columns
from text_uda.objectives import (
    Context,
    Objective,
    RowSelection,
    Selective,
    Stateful,
    Supervised,
    View,
    all_needs,
    in_use,
    is_active,
)
from text_uda.objectives.functional import entropy
from text_uda.objectives.needs import merged
from text_uda.training.in_step_augmentation import InStep, augmented_view


class StepLoss(NamedTuple):
    """The loss of one step and its parts."""

    loss: Tensor  # scalar, with gradient
    parts: dict[str, Tensor]  # the loss of each objective by the name of its class; detached
    terms: dict[str, Tensor | float]  # for the log
    unlabeled: Tensor | None  # the sum of the parts that read unlabeled rows only; None where there are none


class Pass(IntEnum):
    """The passes of a step in their order; a step makes those that its objectives need."""

    TARGETS = 0
    """The original view, without gradient."""
    TEACHER = 1
    """The original view by the averaged weights, without gradient."""
    BEFORE_CHOICE = 2
    """The views that selective objectives read before they choose rows of the second view."""
    VIEWS = 3
    """All other views."""

    @property
    def has_gradient(self) -> bool:
        return self >= Pass.BEFORE_CHOICE


class Request(NamedTuple):
    """Rows that a step needs the outputs of."""

    of: Pass
    parts: list[Inputs]  # run as one batch, in this order


Requests = Generator[Request, ClassifierOutput | None, StepLoss]
"""Yields requests, is sent the outputs of their rows, and returns the loss."""


class Step(nn.Module):
    """Sums the objectives over one batch.

    All rows that need a gradient share one forward pass. The original view runs without gradient unless an objective
    needs one, and runs first: the second view of rows that no objective selects is skipped. An objective of weight 0 is
    left out entirely, so a run with it equals the run without it bit for bit.

    Args:
        steps: of the whole run, which schedules refer to.
        augmentation: makes the second view of a batch that comes without one.
        special: ids that the augmentation must not change, (S,); see `special_ids`.
        unlabeled: number of unlabeled rows of the data set, for objectives that keep a value for each row.
        label_share: share of each class among the labeled rows, (C,); None for balanced classes.
        tokens_per_pass: see `Classifier`.
        fusion: of the model, where it has one.
        leave_out_masked: False runs the second view of all rows; the gradient is the same.
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
        label_share: Tensor | None = None,
        tokens_per_pass: int | None = None,
        fusion: FittedFusion | None = None,
        leave_out_masked: bool = True,
    ) -> None:
        super().__init__()
        self.model = model
        self.student = Classifier(model, tokens_per_pass=tokens_per_pass)
        self._all_objectives = in_use(objectives)
        self.steps = steps
        self._leave_out_masked = leave_out_masked
        self._fusion = fusion
        self._begin(0)
        self.augmentation = augmentation
        self.register_buffer("special", torch.empty(0).long() if special is None else special, persistent=False)
        if label_share is None:
            label_share = torch.full((self._classes,), 1 / self._classes)
        self._state_names: dict[int, dict[str, str]] = {}
        for index, objective in self._all_objectives.items():
            state = objective.initial_state(label_share, unlabeled) if isinstance(objective, Stateful) else {}
            self._state_names[index] = {name: f"objective_{index}_{name}" for name in state}
            for name, value in state.items():
                self.register_buffer(self._state_names[index][name], value)

    def forward(self, batch: Batch, step: int, key: int = 0, teacher: PreTrainedModel | None = None) -> StepLoss:
        """The sum of the losses over one batch.

        Args:
            step: from 0.
            key: decides every random draw but dropout; each step has its own.
            teacher: the model with averaged weights, where an objective needs it.
        """
        requests, output = self.requests(batch, step, key), None
        while True:
            try:
                request = requests.send(output)
            except StopIteration as end:
                return end.value
            output = self.answer(request, teacher)

    def answer(self, request: Request, teacher: PreTrainedModel | None) -> ClassifierOutput:
        """Run the rows of a request."""
        with torch.set_grad_enabled(request.of.has_gradient and torch.is_grad_enabled()):
            return self.classifier(request.of, teacher)(concatenated(self.model, request.parts))

    def classifier(self, of: Pass, teacher: PreTrainedModel | None) -> Classifier:
        """The student, or the teacher, whose tokens count too."""
        if of != Pass.TEACHER:
            return self.student
        assert teacher is not None, "the trainer averages weights where an objective needs a teacher"
        averaged = Classifier(teacher, tokens_per_pass=self.student.tokens_per_pass)
        averaged.token_counts = self.student.token_counts
        return averaged

    def requests(self, batch: Batch, step: int, key: int) -> Requests:
        """The computation of `forward`, without the passes of the model.

        Objectives that run rows themselves (VAT, mixing) run them here, through `student`.
        """
        self._begin(step)
        self.student.token_counts = TokenCounts()
        terms: dict[str, Tensor | float] = {}
        if self.needs.unlabeled_rows:
            batch = self._equally_wide(self._with_second_view(batch, key, terms))
        batch = self._with_dropped_columns(batch, key)
        targets = teacher_logits = None  # (U, C) each
        if self.needs.targets and "original" not in self.needs.views and batch.original is not None:
            targets = (yield from _output_of(Request(Pass.TARGETS, [batch.original]))).logits
        if self.needs.teacher and batch.original is not None:
            teacher_logits = (yield from _output_of(Request(Pass.TEACHER, [batch.original]))).logits
        torch.clear_autocast_cache()  # older PyTorch lends these casts, without gradient, to the next pass

        def context(
            index: int, views: Mapping[View, ClassifierOutput], selection: RowSelection | None = None
        ) -> Context:
            state = {name: self.get_buffer(buffer) for name, buffer in self._state_names[index].items()}
            return Context(
                student=self.student,
                views=views,
                targets=self._targets(views, targets),
                teacher_logits=teacher_logits,
                step=step,
                steps=self.steps,
                classes=self._classes,
                key=keyed_seed(key, index) >> 65,  # torch takes 63 bits
                state=state,
                selection=selection,
            )

        views: Mapping[View, ClassifierOutput] = {}
        selections: dict[int, RowSelection] = {}
        if self._leaves_out:
            views = yield from self._run(Pass.BEFORE_CHOICE, self._views_before_choice, batch)
            for index, objective in self.objectives.items():
                if isinstance(objective, Selective):
                    selections[index] = objective.choose(context(index, views), batch)
        rest: list[View] = [view for view in self.needs.views if view not in views]
        views = {**views, **(yield from self._run(Pass.VIEWS, rest, batch, _counted_by_any(selections.values())))}
        total = torch.zeros((), device=batch.labels.device)
        parts: dict[str, Tensor] = {}
        for index, objective in self.objectives.items():
            loss = objective(context(index, views, selections.get(index)), batch)
            total = total + loss.total
            parts[type(objective).__name__] = loss.total.detach()
            terms |= loss.terms
        if (logits := self._targets(views, targets)) is not None:
            terms["entropy"] = entropy(logits.softmax(dim=-1)).mean()
        needs = {type(objective).__name__: objective.needs for objective in self.objectives.values()}
        unlabeled = [
            part for name, part in parts.items() if needs[name].unlabeled_rows and "labeled" not in needs[name].rows
        ]
        for name, output in self._modes(views, batch).items():
            index, supervised = self._supervised
            mode_loss = supervised(context(index, {"labeled": output}), batch).total
            total = total + mode_loss
            parts[name] = terms[name] = mode_loss.detach()
        return StepLoss(total, parts, terms, torch.stack(unlabeled).sum() if unlabeled else None)

    def _begin(self, step: int) -> None:
        """Set the objectives that have a loss in this step and what they need; rows for the others are not run."""
        self.objectives = {
            index: objective
            for index, objective in self._all_objectives.items()
            if is_active(objective, step=step, steps=self.steps)
        }
        self.needs = all_needs(self.objectives.values())
        if isinstance(column_join_of(self.model), ModeLosses):
            self.needs = merged([self.needs, Supervised.needs])
        readers = [objective for objective in self.objectives.values() if "second" in objective.needs.views]
        self._leaves_out = (
            self._leave_out_masked and bool(readers) and all(isinstance(reader, Selective) for reader in readers)
        )

    @property
    def token_counts(self) -> TokenCounts:
        """Of the last forward in this process."""
        return self.student.token_counts

    @property
    def _classes(self) -> int:
        return number_of_classes(self.model)

    @property
    def _views_before_choice(self) -> list[View]:
        """The views that selective objectives read before they choose rows of the second view."""
        needs = all_needs(objective for objective in self.objectives.values() if isinstance(objective, Selective))
        return [
            view
            for view in self.needs.views
            if (view in needs.views or (view == "original" and needs.targets)) and view != "second"
        ]

    def _targets(self, views: Mapping[View, ClassifierOutput], without_gradient: Tensor | None) -> Tensor | None:
        """Logits of the original view, (U, C), detached; None where no objective needs them or they are not run yet."""
        if self.needs.targets and "original" in views:
            return views["original"].logits.detach()
        return without_gradient

    def _run(
        self, of: Pass, names: Sequence[View], batch: Batch, counted: Tensor | None = None
    ) -> Generator[Request, ClassifierOutput | None, dict[View, ClassifierOutput]]:
        """The joint forward over the rows of these views.

        Args:
            counted: which rows of the second view to run, (U,) bool; None for all. Outputs of the others are zeros.
        """
        if not names:
            return {}
        rows = [self._rows_of(view, batch) for view in names]
        selected_rows = None
        if counted is not None and "second" in names:
            selected_rows = counted.cpu().nonzero()[:, 0]  # on the CPU, so that lengths stay known
            if not len(selected_rows):  # weights need one row for a gradient
                selected_rows = torch.zeros(1, dtype=torch.int64)
            second = names.index("second")
            rows[second] = rows[second].take(selected_rows)
        output = yield from _output_of(Request(of, rows))
        sizes = [len(part) for part in rows]
        pieces = zip(output.logits.split(sizes), output.hidden.split(sizes), strict=True)
        views: dict[View, ClassifierOutput] = {
            view: ClassifierOutput(*piece) for view, piece in zip(names, pieces, strict=True)
        }
        if selected_rows is not None and counted is not None:
            views["second"] = ClassifierOutput(
                *(_scattered(part, selected_rows, len(counted)) for part in views["second"])
            )
        return views

    def _rows_of(self, view: View, batch: Batch) -> Inputs:
        if view in ("labeled", "labeled again"):
            return batch.labeled
        assert batch.original is not None, "the trainer gives unlabeled rows to objectives that need them"
        return batch.original if view == "original" else batch.second

    def _with_second_view(self, batch: Batch, key: int, terms: dict[str, Tensor | float]) -> Batch:
        """The batch with the augmented view, where it comes without one and there is an augmentation.

        Each process augments the rows of all processes with the same draws, and keeps its own rows.
        """
        if batch.augmented is not None or self.augmentation is None or not self.needs.second_view:
            return batch
        assert isinstance(batch.original, Tokens)
        generator = torch.Generator(batch.labels.device).manual_seed(keyed_seed(key, "augment") >> 65)
        rows = self._of_all_processes(batch.original)
        view, changed = augmented_view(self.augmentation, self.model, rows, self.special, generator)
        terms["changed"] = changed
        local = distributed.local_rows(len(rows))
        return replace(batch, augmented=view.take(torch.arange(local.start, local.stop)))

    def _with_dropped_columns(self, batch: Batch, key: int) -> Batch:
        """Column dropout, of the labeled rows and of the second view; the first view, which gives targets, has all."""
        fusion = self._fusion
        if fusion is None or not (share := fusion.settings.column_dropout):
            return batch

        def dropped(rows: Inputs, name: str) -> Inputs:
            draws = keyed_seed(key, "columns", name) >> 65
            return with_columns(rows, fusion.columns.dropped(needed_columns(rows), share, draws))

        batch = replace(batch, labeled=dropped(batch.labeled, "labeled"))
        if self.needs.second_view and batch.original is not None:
            batch = replace(batch, augmented=dropped(batch.second, "second"))
        return batch

    @property
    def _supervised(self) -> tuple[int, Supervised]:
        """The supervised loss of the run and its index; the plain one if it has none."""
        matches = ((index, loss) for index, loss in self._all_objectives.items() if isinstance(loss, Supervised))
        return next(matches, (min(self._all_objectives), Supervised()))

    def _modes(self, views: Mapping[View, ClassifierOutput], batch: Batch) -> dict[str, ClassifierOutput]:
        """The outputs of each mode by itself for the labeled rows, by the name of its loss, where it has one."""
        if not isinstance(join := column_join_of(self.model), ModeLosses):
            return {}
        hidden = views["labeled"].hidden
        modes = join.logits_of_modes(self.student.last_layer(hidden), needed_columns(batch.labeled))
        return {name: ClassifierOutput(at_least_float32(logits), hidden) for name, logits in modes.items()}

    def _of_all_processes(self, tokens: Tokens) -> Tokens:
        if distributed.processes() == 1:
            return tokens
        width = distributed.largest_int(padded_width(tokens), tokens.input_ids.device)
        wide = pad_to_width(tokens, width, pad_id=pad_id(self.model))
        assert isinstance(wide, Tokens)
        columns = None if wide.columns is None else distributed.gathered(wide.columns)
        return Tokens(distributed.gathered(wide.input_ids), distributed.gathered(wide.attention_mask), columns=columns)

    def _equally_wide(self, batch: Batch) -> Batch:
        """Several processes pad to the same width, because rows may be mixed across processes."""
        if distributed.processes() == 1:
            return batch
        parts = [part for part in (batch.labeled, batch.original, batch.augmented) if part is not None]
        width = distributed.largest_int(max(map(padded_width, parts)), batch.labels.device)
        fill = pad_id(self.model)
        wide = [part and pad_to_width(part, width, pad_id=fill) for part in (batch.original, batch.augmented)]
        labeled = pad_to_width(batch.labeled, width, pad_id=fill)
        return replace(batch, labeled=labeled, original=wide[0], augmented=wide[1])


def _output_of(request: Request) -> Generator[Request, ClassifierOutput | None, ClassifierOutput]:
    output = yield request
    assert output is not None, "the first value sent to a generator is None, and it answers no request"
    return output


def concatenated(model: PreTrainedModel, rows: Sequence[Inputs]) -> Inputs:
    """One batch of all rows; token ids are embedded where other rows are embeddings."""
    if any(isinstance(part, Embedded) for part in rows):
        rows = [embed(model, part) if isinstance(part, Tokens) else part for part in rows]
    return concatenate(rows, pad_id=pad_id(model))


def pad_id(model: PreTrainedModel) -> int:
    return model.config.pad_token_id or 0


def _counted_by_any(selections: Iterable[RowSelection]) -> Tensor | None:
    """Rows that at least one objective counts, (U,) bool; None where no objective selects rows."""
    counted = [selection.counted for selection in selections]
    return torch.stack(counted).any(dim=0) if counted else None


def _scattered(values: Tensor, rows: Tensor, number: int) -> Tensor:
    """(R, ...) -> (number, ...): the values in their rows, zeros elsewhere."""
    return values.new_zeros(number, *values.shape[1:]).index_copy(0, rows.to(values.device, non_blocking=True), values)
