"""Fine-tuning: what one step, one evaluation and the end of the run are; `train_loop` calls them.

What belongs to the run is here: the optimizer, the learning rate, the average of the weights, the choice of the
weights. What belongs to a task, its rows and losses, is in `ClassifierTask`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from text_uda import distributed
from text_uda.keyed_random import keyed_seed
from text_uda.model.classifier import TokenCounts
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.precision import ResolvedPrecision, autocast
from text_uda.objectives.schedules import SCHEDULES
from text_uda.objectives.weight_averaging import Averaged, Averaging, FastSWA
from text_uda.runs.directory import RunDirectory
from text_uda.training import checkpoint
from text_uda.training.elapsed import Elapsed
from text_uda.training.loop import StepResult
from text_uda.training.non_finite import NonFiniteError, non_finite_error
from text_uda.training.settings import SelectBy, TrainSettings
from text_uda.training.step import StepLoss


class Scored(Protocol):
    """An evaluation on development rows."""

    def criterion(self, select_by: SelectBy) -> float: ...
    def record(self) -> dict[str, float]: ...


class Trained(Protocol):
    """What a run trains: a `ClassifierTask`, or several that share an encoder (`text_uda.tasks`)."""

    @property
    def module(self) -> Any:
        """Its forward takes (batch, step, key, teacher) and returns a StepLoss; the averaged model is `module.model`,
        and `module.token_counts` are of the last forward."""
        ...

    @property
    def precision(self) -> ResolvedPrecision: ...
    @property
    def select_by(self) -> SelectBy: ...
    @property
    def base_rate(self) -> float: ...
    def parameter_groups(self) -> list[dict[str, Any]]: ...
    def compile(self) -> None: ...
    def batches(self, first: int, last: int) -> Iterator[Any]: ...
    def backward(self, run: Callable[..., StepLoss], batch: Any) -> StepLoss: ...
    def row_indices(self, batch: Any) -> Mapping[str, list[int]]: ...
    def rows_in(self, batch: Any) -> int: ...
    def dev_evaluation(self, model: Any) -> Scored | None: ...
    def predictions(self, model: Any) -> Any: ...
    def finish(
        self, *, last: Any, chosen: Any, best_step: int, steps: int, planned: int, elapsed: Elapsed
    ) -> dict[str, Any]: ...


class FineTuning:
    """A training run on this process's part of each batch; of several processes the main one writes."""

    label = "train"
    evaluates_untrained = False

    def __init__(
        self,
        task: Trained,
        averaging: Averaging | None,
        settings: TrainSettings,
        directory: RunDirectory,
        accelerator: Accelerator,
        *,
        steps: int | None = None,
    ) -> None:
        """
        Args:
            steps: end the run after these steps; schedules still refer to `settings.steps`. None for `settings.steps`.
        """
        self.task, self.settings, self.directory, self.accelerator = task, settings, directory, accelerator
        self.steps = settings.steps if steps is None else steps
        self._base_rate = task.base_rate
        self.optimizer = torch.optim.AdamW(task.parameter_groups(), lr=self._base_rate, fused=True)
        self.step, self._accelerated = accelerator.prepare(task.module, self.optimizer)
        self.module: Any = accelerator.unwrap_model(self.step)
        self.averaging = averaging
        self.averaged = averaging and Averaged(self.module.model, averaging, steps=settings.steps)
        if settings.compile:  # after the average copies the model, because the copy is not compiled
            task.compile()
        self.best: checkpoint.Best | None = None

    @property
    def token_counts(self) -> TokenCounts:
        return self.module.token_counts

    # --- a step -------------------------------------------------------------------------------------------------------

    def batches(self, first: int) -> Iterator[Any]:
        return self.task.batches(first, self.steps)

    def update(self, step: int, batch: Any) -> StepResult:
        """One step of the optimizer. Draws and dropout depend on (seed, step); dropout also on the process."""
        rate = self._base_rate * self._learning_rate_factor(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]

        def run(batch: Any, *key: object) -> StepLoss:
            """A pass forward and backward. Several passes of a step tell their draws apart by a key."""
            return self._run(step, batch, *key)

        result = self.task.backward(run, batch)
        max_norm = np.inf if self.settings.max_grad_norm is None else self.settings.max_grad_norm
        norm = self.accelerator.clip_grad_norm_(self.step.parameters(), max_norm)
        if norm is not None and not np.isfinite(float(norm)):
            raise self._non_finite("the gradient", step, batch, result, record=distributed.is_main())
        self._accelerated.step()
        self._accelerated.zero_grad()
        if self.averaged is not None:
            self.averaged.update(self.module.model, step)
        terms = {**result.terms, "learning_rate": rate}
        if result.unlabeled is not None:
            terms["unlabeled_loss"] = result.unlabeled
        return StepResult(result.loss.detach(), terms, self.task.rows_in(batch))

    def _run(self, step: int, batch: Any, *key: object) -> StepLoss:
        seed, device = self.settings.seed, self.accelerator.device.type
        dropout_seed = keyed_seed(seed, "noise", step, distributed.rank(), *key) >> 65  # torch takes 63 bits
        draws = keyed_seed(seed, "draws", step) >> 65
        with seeded_torch(dropout_seed), autocast(device, self.task.precision):
            result: StepLoss = self.step(batch, step, draws, self.averaged and self.averaged.model)
        non_finite = [name for name, part in result.parts.items() if not torch.isfinite(part)]
        if distributed.any_of(bool(non_finite)):
            quantity = f"the loss of {', '.join(non_finite) or 'another process'}"
            raise self._non_finite(quantity, step, batch, result, record=bool(non_finite))
        self.accelerator.backward(result.loss)
        return result

    def log_line(self, result: StepResult, throughput: Mapping[str, float]) -> dict[str, Tensor | float]:
        terms = dict(result.terms)
        last = {"unlabeled_loss": terms.pop("unlabeled_loss")} if "unlabeled_loss" in terms else {}
        return {"loss": result.loss, **terms, **throughput, **last}

    def _learning_rate_factor(self, step: int) -> float:
        # fastSWA brings a cyclic schedule, which replaces the one of the settings.
        cyclic = self.averaging.learning_rate_factor if isinstance(self.averaging, FastSWA) else None
        schedule = cyclic or SCHEDULES[self.settings.schedule]
        return schedule(step=step, steps=self.settings.steps, warmup_steps=self.settings.warmup())

    def _non_finite(self, quantity: str, step: int, batch: Any, result: StepLoss, *, record: bool) -> NonFiniteError:
        return non_finite_error(
            quantity,
            self.directory,
            record=record,
            step=step,
            parts={name: float(value) for name, value in result.parts.items()},
            terms={name: float(value) for name, value in result.terms.items()},
            rows=self.task.row_indices(batch),
            learning_rate=self._base_rate,
        )

    # --- an evaluation ------------------------------------------------------------------------------------------------

    def evaluate(self, done: int) -> dict[str, float] | None:
        """Evaluate on the development rows, and keep the weights if they are the best so far (or, by `last`, the last).

        A tie keeps the earlier weights.
        """
        evaluation, select_by = self._dev_evaluation(self._evaluated_model), self.task.select_by
        criterion = 0.0 if evaluation is None else evaluation.criterion(select_by)
        is_better = self.best is None or criterion < self.best.criterion
        if done == self.steps if select_by == "last" else is_better:
            self.best = checkpoint.Best(criterion, done, checkpoint.trained_weights(self.module, self.averaged))
        return None if evaluation is None else evaluation.record()

    def _dev_evaluation(self, model: nn.Module) -> Scored | None:
        return self.task.dev_evaluation(model)

    @property
    def _evaluated_model(self) -> nn.Module:
        """With the averaged weights, where there are any."""
        return self.module.model if self.averaged is None else self.averaged.model

    def is_out_of_patience(self, done: int) -> bool:
        """Whether the last `patience` evaluations did not improve on the best one."""
        settings = self.settings
        if settings.patience is None or self.best is None:
            return False
        return done - self.best.step >= settings.patience * settings.evaluate_every

    # --- the end ------------------------------------------------------------------------------------------------------

    def finish(self, steps: int, elapsed: Elapsed) -> dict[str, Any]:
        """Evaluate the last and the chosen weights on the test rows, which are read only here; write the result."""
        assert self.best is not None, "the last step is always evaluated"
        last = self.task.predictions(self._evaluated_model)
        checkpoint.put_weights(self.module, self.best.weights)
        same = self.best.step == steps  # saves a pass over the test rows
        chosen = last if same else self.task.predictions(self.module.model)
        return self.task.finish(
            last=last, chosen=chosen, best_step=self.best.step, steps=steps, planned=self.steps, elapsed=elapsed
        )
