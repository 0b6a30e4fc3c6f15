"""One training step as a module: its forward is one batch, and it is what `accelerate` wraps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from text_uda import distributed
from text_uda.keyed_random import keyed_seed
from text_uda.model.classifier import Classifier, ClassifierOutput, TokenCounts, embed, number_of_classes
from text_uda.model.inputs import Batch, Embedded, Inputs, Tokens, concatenate, pad_to_width, padded_width
from text_uda.objectives import Chosen, Context, Objective, Selective, Stateful, View, all_needs, counts, in_use
from text_uda.objectives.functional import entropy
from text_uda.training.in_step_augmentation import InStep, augmented_view


class Sum(NamedTuple):
    """What a step came to."""

    loss: Tensor  # scalar, with gradient
    parts: dict[str, Tensor]  # what each objective added to it, by the name of its class; detached
    terms: dict[str, Tensor | float]  # for the log
    unlabeled: Tensor | None  # what those of them added that read unlabeled rows alone; None where there is none


class Step(nn.Module):
    """Sums the objectives over one batch.

    All rows that need a gradient share one forward; the original view is run without one unless an objective asks, and
    first, so that rows of the second view that no objective counts are not run at all. An objective of weight 0 is left
    out altogether, so that a run with it is bit for bit the run without it.

    Args:
        tokens_per_pass: see `Classifier`.
        leave_out_masked: False runs the second view of all rows; the gradient is the same.
        augmentation: makes the second view of a batch that comes without.
        special: the ids that an augmentation leaves alone, (S,); see `special_ids`.
        unlabeled: how many unlabeled rows the data has, for objectives that remember something of each.
        label_share: of each class among the labeled rows of the data, (C,); None for balanced classes.
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
        leave_out_masked: bool = True,
    ) -> None:
        super().__init__()
        self.model = model
        self.student = Classifier(model, tokens_per_pass=tokens_per_pass)
        self._used = in_use(objectives)
        self.steps = steps
        self._leave_out_masked = leave_out_masked
        self._begin(0)
        self.augmentation = augmentation
        self.register_buffer("special", torch.empty(0).long() if special is None else special, persistent=False)
        if label_share is None:
            label_share = torch.full((self._classes,), 1 / self._classes)
        self._state_names: dict[int, dict[str, str]] = {}
        for index, objective in self._used.items():
            state = objective.initial_state(label_share, unlabeled) if isinstance(objective, Stateful) else {}
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
        self._begin(step)
        self.student.token_counts = TokenCounts()
        terms: dict[str, Tensor | float] = {}
        if self.needs.unlabeled_rows:
            batch = self._as_wide_everywhere(self._with_second_view(batch, key, terms))
        context = self._context(batch, step, teacher)
        views: Mapping[View, ClassifierOutput] = {}
        chosen: dict[int, Chosen] = {}
        if self._leaves_out:
            views = self._run(self._views_to_choose_by, batch)
            context = self._seen(context, views)
            choosing = [(index, each) for index, each in self.objectives.items() if isinstance(each, Selective)]
            chosen = {index: each.choose(self._of(context, index, key), batch) for index, each in choosing}
        rest: list[View] = [view for view in self.needs.views if view not in views]
        views = {**views, **self._run(rest, batch, _counted_by_any(chosen.values()))}
        context = self._seen(context, views)
        total = torch.zeros((), device=batch.labels.device)
        parts: dict[str, Tensor] = {}
        for index, objective in self.objectives.items():
            loss = objective(replace(self._of(context, index, key), chosen=chosen.get(index)), batch)
            total = total + loss.total
            parts[type(objective).__name__] = loss.total.detach()
            terms |= loss.terms
        if context.targets is not None:
            terms["entropy"] = entropy(context.targets.softmax(dim=-1)).mean()
        needs = {type(each).__name__: each.needs for each in self.objectives.values()}
        unlabeled = [part for name, part in parts.items() if needs[name].unlabeled_rows and not needs[name].labeled]
        return Sum(total, parts, terms, torch.stack(unlabeled).sum() if unlabeled else None)

    def _begin(self, step: int) -> None:
        """The objectives that count in this step, and what they need; the rows of others are not run."""
        self.objectives = {n: each for n, each in self._used.items() if counts(each, step=step, steps=self.steps)}
        self.needs = all_needs(self.objectives.values())
        self._leaves_out = (
            self._leave_out_masked
            and "second" in self.needs.views
            and all(isinstance(each, Selective) for each in self.objectives.values() if "second" in each.needs.views)
        )

    @property
    def traffic(self) -> TokenCounts:
        """Of the last forward, in this process."""
        return self.student.token_counts

    @property
    def _classes(self) -> int:
        return number_of_classes(self.model)

    @property
    def _views_to_choose_by(self) -> list[View]:
        """What the selective objectives read of the other views before they choose rows of the second one."""
        needs = all_needs(each for each in self.objectives.values() if isinstance(each, Selective))
        return [
            view
            for view in self.needs.views
            if (view in needs.views or (view == "original" and needs.targets)) and view != "second"
        ]

    def _context(self, batch: Batch, step: int, teacher: PreTrainedModel | None) -> Context:
        """What all objectives are given, as far as it is known before the views are run."""
        targets = teacher_logits = None
        with torch.no_grad():
            if self.needs.targets and "original" not in self.needs.views and batch.original is not None:
                targets = self.student(batch.original).logits  # (U, C)
            if self.needs.teacher and batch.original is not None:
                assert teacher is not None, "the trainer averages weights where an objective needs a teacher"
                averaged = Classifier(teacher, tokens_per_pass=self.student.tokens_per_pass)
                averaged.token_counts = self.student.token_counts
                teacher_logits = averaged(batch.original).logits  # (U, C)
        torch.clear_autocast_cache()  # older PyTorch lends these casts, without gradient, to the next pass
        return Context(
            student=self.student,
            views={},
            targets=targets,
            teacher_logits=teacher_logits,
            step=step,
            steps=self.steps,
            classes=self._classes,
            key=0,
            state={},
        )

    def _seen(self, context: Context, views: Mapping[View, ClassifierOutput]) -> Context:
        """With what the views came to."""
        targets = context.targets
        if self.needs.targets and "original" in views:
            targets = views["original"].logits.detach()
        return replace(context, views=views, targets=targets)

    def _of(self, context: Context, index: int, key: int) -> Context:
        """What the objective of this number is given."""
        state = {name: self.get_buffer(buffer) for name, buffer in self._state_names[index].items()}
        return replace(context, key=keyed_seed(key, index) >> 65, state=state)  # 63 bits

    def _run(self, names: Sequence[View], batch: Batch, counted: Tensor | None = None) -> dict[View, ClassifierOutput]:
        """The joint forward: rows of these views under each other.

        Args:
            counted: which rows of the second view are run, (U,) bool; None for all. The others have zeros.
        """
        if not names:
            return {}
        rows = [self._rows_of(view, batch) for view in names]
        kept = None
        if counted is not None and "second" in names:
            kept = counted.nonzero()[:, 0]
            kept = kept if len(kept) else torch.zeros(1, dtype=torch.int64, device=counted.device)  # weights get one
            second = names.index("second")
            rows[second] = rows[second].take(kept)
        output = self.student(self._together(rows))
        sizes = [len(part) for part in rows]
        pieces = zip(output.logits.split(sizes), output.hidden.split(sizes), strict=True)
        views: dict[View, ClassifierOutput] = {
            view: ClassifierOutput(*piece) for view, piece in zip(names, pieces, strict=True)
        }
        if kept is not None and counted is not None:
            views["second"] = ClassifierOutput(*(_put_back(part, kept, len(counted)) for part in views["second"]))
        return views

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
        """Makes the augmented view where the batch comes without and there is an augmentation.

        Each process makes it of the rows of all, with the same draws, and keeps its own.
        """
        if batch.augmented is not None or self.augmentation is None or not self.needs.second_view:
            return batch
        assert isinstance(batch.original, Tokens)
        generator = torch.Generator(batch.labels.device).manual_seed(keyed_seed(key, "augment") >> 65)
        everywhere = self._of_all_processes(batch.original)
        view, changed = augmented_view(self.augmentation, self.model, everywhere, self.special, generator)
        terms["changed"] = changed
        own = distributed.own(len(everywhere))
        return replace(batch, augmented=view.take(torch.arange(own.start, own.stop, device=batch.labels.device)))

    def _of_all_processes(self, tokens: Tokens) -> Tokens:
        if distributed.processes() == 1:
            return tokens
        width = distributed.most(padded_width(tokens), tokens.input_ids.device)
        wide = pad_to_width(tokens, width, pad_id=self._pad_id)
        assert isinstance(wide, Tokens)
        return Tokens(distributed.gathered(wide.input_ids), distributed.gathered(wide.attention_mask))

    def _as_wide_everywhere(self, batch: Batch) -> Batch:
        """Several processes pad alike, as rows may be mixed across them."""
        if distributed.processes() == 1:
            return batch
        there = [part for part in (batch.labeled, batch.original, batch.augmented) if part is not None]
        width = distributed.most(max(map(padded_width, there)), batch.labels.device)
        wide = [part and pad_to_width(part, width, pad_id=self._pad_id) for part in (batch.original, batch.augmented)]
        labeled = pad_to_width(batch.labeled, width, pad_id=self._pad_id)
        return replace(batch, labeled=labeled, original=wide[0], augmented=wide[1])

    @property
    def _pad_id(self) -> int:
        return self.model.config.pad_token_id or 0


def _counted_by_any(chosen: Iterable[Chosen]) -> Tensor | None:
    """Rows that count for at least one objective, (U,) bool; None where none was asked."""
    counted = [each.counted for each in chosen]
    return torch.stack(counted).any(dim=0) if counted else None


def _put_back(values: Tensor, rows: Tensor, number: int) -> Tensor:
    """(R, ...) -> (number, ...) with the values in their rows and zeros elsewhere."""
    return values.new_zeros(number, *values.shape[1:]).index_copy(0, rows, values)
