"""The training loop of fine-tuning and pretraining: resume, then step, log, evaluate, save and stop, then finish."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from text_uda import distributed
from text_uda.errors import SettingsError
from text_uda.model.classifier import TokenCounts
from text_uda.model.cuda import is_out_of_memory
from text_uda.objectives.weight_averaging import Averaged
from text_uda.progress import progress_bar
from text_uda.runs.directory import RunDirectory
from text_uda.training import checkpoint
from text_uda.training.elapsed import Elapsed, Stopwatch
from text_uda.training.metrics import Metrics, Throughput
from text_uda.training.stop_signals import Interrupted, StopRequest


class LoopSettings(Protocol):
    """Steps between two evaluations, checkpoints and lines of metrics."""

    @property
    def evaluate_every(self) -> int: ...
    @property
    def checkpoint_every(self) -> int: ...
    @property
    def log_every(self) -> int: ...
    @property
    def tokens_per_pass(self) -> int | None: ...


class StepResult(NamedTuple):
    loss: Tensor  # scalar, detached
    terms: Mapping[str, Tensor | float]  # for the log
    rows: int  # texts of all processes; each view of a text counts


class TrainingRun(Protocol):
    """What the loop trains: `FineTuning` or `MaskedLanguageModeling`."""

    label: str
    """Of the progress bar."""
    evaluates_untrained: bool
    """Whether the run is also evaluated before the first step."""
    best: checkpoint.Best | None
    """The weights chosen so far, where evaluations choose."""
    directory: RunDirectory
    accelerator: Accelerator
    steps: int

    @property
    def settings(self) -> LoopSettings: ...
    @property
    def module(self) -> nn.Module:
        """Its trained parameters and its buffers are the state of the run."""
        ...

    @property
    def optimizer(self) -> torch.optim.Optimizer: ...
    @property
    def averaged(self) -> Averaged | None: ...
    @property
    def token_counts(self) -> TokenCounts:
        """Of the current step in this process."""
        ...

    def batches(self, first: int) -> Iterator[Any]:
        """The batches of steps [first, steps). A batch depends on the step only."""
        ...

    def update(self, step: int, batch: Any) -> StepResult:
        """One step of the optimizer. Draws and dropout depend on the seed and the step only."""
        ...

    def log_line(self, result: StepResult, throughput: Mapping[str, float]) -> Mapping[str, Tensor | float]:
        """What metrics.jsonl keeps of a logged step."""
        ...

    def evaluate(self, done: int) -> Mapping[str, float] | None:
        """Figures on the development rows, the most important first; None where there are no such rows."""
        ...

    def is_out_of_patience(self, done: int) -> bool:
        """Whether to end early. It depends only on what a checkpoint keeps."""
        ...

    def finish(self, steps: int, elapsed: Elapsed) -> dict[str, Any]:
        """Write model and result after the last step; returns the content of result.json."""
        ...


def train_loop(run: TrainingRun, stop: StopRequest) -> dict[str, Any]:
    """Train from the newest checkpoint, or from the start, to the end; returns the content of result.json.

    Raises:
        Interrupted: `stop` is set; a checkpoint is written.
        SettingsError: a step does not fit into memory, or the checkpoint is damaged.
    """
    try:
        return _train(run, stop)
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if not is_out_of_memory(error):
            raise
        raise _out_of_memory(run) from error


def _train(run: TrainingRun, stop: StopRequest) -> dict[str, Any]:
    settings, directory = run.settings, run.directory
    distributed.on_main(lambda: checkpoint.set_damaged_aside(directory.checkpoints, directory.metrics))
    done, run.best, before = checkpoint.load(directory.checkpoints, run.module, run.optimizer, run.averaged)
    stopwatch = Stopwatch(before)
    last_kept = done if done > 0 else -1  # without a checkpoint the evaluation before the first step is made again
    distributed.on_main(lambda: directory.keep_metrics_until(last_kept))
    if run.is_out_of_patience(done):  # it was stopped after its last evaluation
        return run.finish(done, stopwatch.elapsed())

    run.module.train()
    with (
        Metrics(directory, run.accelerator, steps=run.steps) as metrics,
        progress_bar(run.steps, run.label, "steps", done=done, shown=distributed.is_main()) as bar,
        stop.on_signals(),
    ):
        if done == 0 and run.evaluates_untrained and (figures := run.evaluate(0)) is not None:
            metrics.evaluation(0, figures)
        throughput = Throughput()
        for step, batch in enumerate(run.batches(done), done):
            result = run.update(step, batch)
            done, is_last = step + 1, step + 1 == run.steps

            throughput.add(result.rows, run.token_counts)
            if step % settings.log_every == 0:
                metrics.train(done, run.log_line(result, throughput.read(run.accelerator.device)))

            if done % settings.evaluate_every == 0 or is_last:
                with throughput.paused():
                    figures = run.evaluate(done)
                if figures is not None:
                    metrics.evaluation(done, figures)
                bar.note(_note(result, figures))
                is_last = is_last or run.is_out_of_patience(done)
            bar.advance()

            if distributed.any_of(stop.is_set()):
                _save(run, metrics, done, stopwatch.elapsed())
                raise Interrupted(stop.message(done, run.steps, directory.path))
            if is_last:
                break
            if done % settings.checkpoint_every == 0:
                with throughput.paused():
                    _save(run, metrics, done, stopwatch.elapsed())
        return run.finish(done, stopwatch.elapsed())


def _save(run: TrainingRun, metrics: Metrics, done: int, elapsed: Elapsed) -> None:
    def save() -> None:
        metrics.sync()
        checkpoint.save(
            run.directory.checkpoints,
            run.module,
            run.optimizer,
            run.averaged,
            done=done,
            best=run.best,
            elapsed=elapsed,
            metrics=run.directory.metrics,
        )

    distributed.on_main(save)


def _note(result: StepResult, figures: Mapping[str, float] | None) -> str:
    """For the progress bar: the loss, and the first figure of the evaluation."""
    loss = f"loss {float(result.loss):.3f}"
    if figures is None:
        return loss
    name, figure = next(iter(figures.items()))
    return f"{loss}, dev {name} {figure:.1f}%" if name == "error" else f"{loss}, dev {name} {figure:.3f}"


def _out_of_memory(run: TrainingRun) -> SettingsError:
    tokens = run.token_counts.tokens
    fewer = min(run.settings.tokens_per_pass or tokens, tokens) // 2
    return SettingsError(
        f"a step does not fit into memory: out of memory after {tokens:,} tokens; set tokens_per_pass "
        f"(--tokens-per-pass {max(1, fewer)}), which gives the same gradient, or lower max_tokens; the last "
        "checkpoint is kept, and the run resumes from it with either change"
    )
