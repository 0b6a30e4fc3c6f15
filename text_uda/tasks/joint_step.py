"""One training step of several tasks as a module: the passes that all of them request run together."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from text_uda.keyed_random import keyed_seed
from text_uda.model.classifier import ClassifierOutput, TokenCounts
from text_uda.model.inputs import Features
from text_uda.tasks.method import TaskBatches, TaskMethod
from text_uda.tasks.shared_encoder import SharedEncoder
from text_uda.training.step import Request, Step, StepLoss, concatenated


class JointStep(nn.Module):
    """The weighted sum of the losses of some tasks, each over its own batch.

    The rows that the tasks request in one pass (see `Pass`) go through the encoder together, and the head of each task
    reads the features of its rows. So T tasks take as many passes as one. Where only one task requests a pass, or the
    head of the encoder cannot be separated, a task runs its rows by itself, as in a run of one task; so do objectives
    that run rows themselves (VAT, mixing).

    Args:
        steps: of each task, by its name; their models are those of `models`, in order.
        separable: whether the encoder's features determine the logits (see `check_head_is_separable`).
    """

    def __init__(
        self, models: SharedEncoder, steps: Mapping[str, Step], method: TaskMethod, *, separable: bool
    ) -> None:
        super().__init__()
        self.model = models
        self._names = list(steps)
        self._steps = nn.ModuleList(steps.values())
        self._method, self._separable = method, separable
        self.token_counts = TokenCounts()
        """Of the last step in this process."""
        self._last_step: int | None = None

    def forward(self, batch: TaskBatches, step: int, key: int = 0, teacher: SharedEncoder | None = None) -> StepLoss:
        """The loss of the tasks in a batch; the names of parts and terms begin with that of their task.

        Args:
            step: from 0.
            key: decides every random draw but dropout; see `_key`.
            teacher: the models with averaged weights, where an objective needs them.
        """
        losses = self._losses(batch, step, key, teacher)
        total = self._method.total({name: loss.loss for name, loss in losses.items()}, self.model.log_variances)
        terms: dict[str, Tensor | float] = {}
        for name, loss in losses.items():
            terms |= {f"{name}/loss": loss.loss.detach()} | {f"{name}/{term}": v for term, v in loss.terms.items()}
            if loss.unlabeled is not None:
                terms[f"{name}/unlabeled_loss"] = loss.unlabeled
        if self.model.log_variances is not None:
            weights = (-self.model.log_variances.detach()).exp()
            terms |= {f"{name}/weight": weight for name, weight in zip(self._names, weights, strict=True)}
        parts = {f"{name}/{part}": value for name, loss in losses.items() for part, value in loss.parts.items()}
        self._count_tokens(batch, step)
        return StepLoss(total, parts, terms, None)

    def step_of(self, name: str) -> Step:
        return self._steps[self._names.index(name)]  # pyright: ignore[reportReturnType]

    def _losses(self, batch: TaskBatches, step: int, key: int, teacher: SharedEncoder | None) -> dict[str, StepLoss]:
        running = {
            name: self.step_of(name).requests(rows, step, self._key(key, name)) for name, rows in batch.batches.items()
        }
        pending: dict[str, Request] = {}
        losses: dict[str, StepLoss] = {}
        outputs: Mapping[str, ClassifierOutput | None] = dict.fromkeys(running)
        while outputs:
            for name, output in outputs.items():
                try:
                    pending[name] = running[name].send(output)
                except StopIteration as end:
                    losses[name] = end.value
            of = min((request.of for request in pending.values()), default=None)
            requested = {name: pending.pop(name) for name in running if name in pending and pending[name].of == of}
            outputs = self._outputs(requested, teacher)
        return {name: losses[name] for name in running}

    def _outputs(
        self, requested: Mapping[str, Request], teacher: SharedEncoder | None
    ) -> Mapping[str, ClassifierOutput | None]:
        """The outputs of requests of one pass."""
        teachers = dict(zip(self._names, teacher.models, strict=True)) if teacher is not None else {}
        if len(requested) < 2 or not self._separable:
            return {name: self.step_of(name).answer(request, teachers.get(name)) for name, request in requested.items()}
        of = next(iter(requested.values())).of
        classifiers = {name: self.step_of(name).classifier(of, teachers.get(name)) for name in requested}
        first = next(iter(classifiers.values()))
        with torch.set_grad_enabled(of.has_gradient and torch.is_grad_enabled()):
            rows = concatenated(first.model, [part for request in requested.values() for part in request.parts])
            sizes = [sum(map(len, request.parts)) for request in requested.values()]
            features = first.encode(rows).split(sizes)
            return {
                name: classifier(Features(of_task))
                for (name, classifier), of_task in zip(classifiers.items(), features, strict=True)
            }

    def _key(self, key: int, name: str) -> int:
        """The key of a task's draws. The first task draws as in a run of its own."""
        return key if name == self._names[0] else keyed_seed(key, name) >> 65  # torch takes 63 bits

    def _count_tokens(self, batch: TaskBatches, step: int) -> None:
        if step != self._last_step:
            self.token_counts, self._last_step = TokenCounts(), step
        for name in batch.batches:
            counts = self.step_of(name).token_counts
            self.token_counts.add(counts.tokens, counts.positions)
