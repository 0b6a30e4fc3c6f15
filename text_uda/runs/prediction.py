"""Predictions of a trained classifier: class probabilities of any number of texts, a bounded number at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from text_uda import distributed
from text_uda.data.row_columns import NO_COLUMNS, OtherColumns
from text_uda.data.text_field import text_field_of
from text_uda.errors import SettingsError
from text_uda.fusion.fitted_columns import ColumnRows, FittedColumns
from text_uda.fusion.fused_model import is_fused, open_fused
from text_uda.hub_connection import loading_options
from text_uda.model.averaging_layer import restore_averaging_layer
from text_uda.model.classifier import class_names, logits, number_of_classes
from text_uda.model.cuda import default_device
from text_uda.model.encoder_files import has_vocabulary
from text_uda.model.fused_linear import fused_linear
from text_uda.model.packing import pack
from text_uda.model.precision import Precision, ResolvedPrecision, autocast, resolve_precision
from text_uda.model.tokenized import TOKENS_PER_BATCH, ModelRows, OnProgress, TokenRows, batches_by_tokens
from text_uda.runs.directory import RunDirectory

CHUNK_TEXTS = 4096
"""Texts that are sorted by length together; memory grows with it."""

STREAM_TEXTS = 32
"""Texts of an iterator that are answered together, so that the first answers do not wait for thousands of texts."""


def probabilities(
    model: PreTrainedModel,
    rows: ModelRows,
    *,
    max_tokens_per_batch: int = TOKENS_PER_BATCH,
    precision: ResolvedPrecision = "fp32",
    progress: OnProgress | None = None,
) -> np.ndarray:
    """Class probabilities in evaluation mode, (N, C) float32; the mode of the model is restored.

    Args:
        max_tokens_per_batch: including padding; a batch has rows of similar length.
        precision: of the forward pass; the softmax is in float32.
    Raises:
        SettingsError: a logit is not a finite number.
    """
    was_training = model.training
    model.eval()
    result = np.zeros((len(rows), number_of_classes(model)), dtype=np.float32)
    done = 0
    if progress is not None:
        progress(done, len(rows))
    tokens = int(rows.lengths.sum()) if isinstance(rows, TokenRows) else 0  # features pass no encoder
    with torch.inference_mode(), autocast(model.device, precision), fused_linear(model, precision, tokens=tokens):
        batches = batches_by_tokens(rows, max_tokens_per_batch)
        for indices in batches[distributed.rank() :: distributed.processes()]:  # other rows stay 0 here
            values = logits(model, rows.batch(indices).to(model.device)).float()
            values = values.masked_fill(~values.isfinite(), torch.nan)  # -inf alone would give finite probabilities
            result[indices] = values.softmax(dim=-1).cpu().numpy()
            done += len(indices)
            if progress is not None:
                progress(done, len(rows))
    model.train(was_training)
    result = distributed.summed(torch.from_numpy(result)).numpy()
    if not np.isfinite(result).all():
        raise SettingsError(
            f"the model {model.name_or_path} gives logits that are not finite numbers, so its weights are damaged:"
            " restore it from a copy, or train it again"
        )
    return result


def open_model(run: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, FittedColumns | None]:
    """The trained model of a run, its tokenizer, and the columns that it reads, on the GPU where there is one.

    Raises:
        SettingsError: the run is not finished, or the folder is not a run.
        DamagedModelError: a file of the model is missing or altered.
    """
    directory = RunDirectory(run)
    directory.check_whole()
    return _open_folder(directory.model)


def _open_folder(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, FittedColumns | None]:
    options = loading_options(folder)
    columns: FittedColumns | None = None
    model: Any  # transformers types `to` as a method of another class
    if is_fused(folder):
        model, fusion = open_fused(folder)
        columns = fusion.columns
    else:
        model = AutoModelForSequenceClassification.from_pretrained(folder, **options)
        restore_averaging_layer(model)
    pack(model)
    known = {} if columns is None else {"config": model.config}  # else transformers warns of the type in config.json
    tokenizer = AutoTokenizer.from_pretrained(folder, **options, **known)
    if not has_vocabulary(tokenizer):  # the files of a run of an earlier version have no digests
        raise SettingsError(
            f"{folder} has no vocabulary: its tokenizer.json is missing or damaged; restore it from a copy, or"
            " train the run again with --no-resume (resume=False)"
        )
    return model.to(default_device()).eval(), tokenizer, columns


@dataclass(frozen=True)
class TrainedClassifier:
    """The model of a finished run, ready to classify texts."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_tokens: int
    precision: ResolvedPrecision
    columns: FittedColumns | None = None
    """Of a model that reads other columns beside the text; its texts are `RowText`s."""

    @staticmethod
    def open(run: str | Path, *, precision: Precision = "fp32") -> "TrainedClassifier":
        """
        Args:
            run: a run directory, or the model folder of a run with other columns, such as a download of one.
            precision: of the forward passes. In fp32 the labels are those of transformers' `pipeline`; bf16 can
                change the label of a text whose two most probable classes are nearly equally probable.
        Raises:
            SettingsError: the run is not finished, or the folder is not a run.
        """
        if is_fused(Path(run)):
            model, tokenizer, columns = _open_folder(Path(run))
            max_tokens = tokenizer.model_max_length
        else:
            model, tokenizer, columns = open_model(Path(run))
            max_tokens = int(RunDirectory(Path(run)).config()["settings"]["max_tokens"])
        width = getattr(model.config, "hidden_size", None)
        return TrainedClassifier(model, tokenizer, max_tokens, resolve_precision(precision, width=width), columns)

    @property
    def classes(self) -> list[str]:
        return class_names(self.model)

    def probabilities(self, texts: Sequence[str | None], *, progress: OnProgress | None = None) -> np.ndarray:
        """Class probabilities (N, C) float32; NaN for a text that is None or blank.

        Raises:
            SettingsError: the model reads other columns, and a text has none, or others.
        """
        present = [index for index, text in enumerate(texts) if not is_blank(text)]
        result = np.full((len(texts), number_of_classes(self.model)), np.nan, dtype=np.float32)
        if present:
            read = [text for text in texts if text is not None and not is_blank(text)]
            rows: ModelRows = TokenRows(read, self.tokenizer, max_tokens=self.max_tokens)
            if self.columns is not None:
                rows = ColumnRows(rows, self.columns.encode(read))
            result[present] = probabilities(self.model, rows, precision=self.precision, progress=progress)
        return result

    @property
    def other_columns(self) -> OtherColumns:
        """The columns that it reads beside the text."""
        return NO_COLUMNS if self.columns is None else self.columns.names

    @property
    def vector_lengths(self) -> dict[str, int]:
        """Numbers of the vectors of each such column."""
        return {} if self.columns is None else self.columns.vector_lengths


def is_blank(text: str | None) -> bool:
    return text is None or not text.strip()


def predict(
    run: str | Path,
    texts: Iterable[str | Mapping[str, Any] | None],
    *,
    batch_size: int | None = None,
    precision: Precision = "fp32",
    text_column: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Label, probability and probabilities by class name for each text, in order; all None for a blank text.

    Args:
        texts: a list, or an iterator, which is answered as its texts arrive. For a run with other columns, rows: a
            mapping with the text, in a column of a usual name, and with these columns, such as a line of JSON; or a
            text of `load(..., numeric=...)`.
        batch_size: texts that are classified together. None: 4,096 of a list, 32 of an iterator.
        precision: see `TrainedClassifier.open`.
        text_column: the field of the text in rows; None for the only one with a usual name.
    """
    classifier = TrainedClassifier.open(run, precision=precision)
    size = batch_size or (CHUNK_TEXTS if isinstance(texts, Sequence) else STREAM_TEXTS)
    iterator, read = iter(texts), text_field_of
    others, lengths = classifier.other_columns, classifier.vector_lengths
    while batch := list(islice(iterator, size)):
        rows = [read(row, others, text_column, lengths) if isinstance(row, Mapping) else row for row in batch]
        yield from answers(classifier.probabilities(rows), classifier.classes)


def answers(probabilities: np.ndarray, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """`label`, `probability` and `probabilities` by class name of each row (N, C); all None where the row is NaN."""
    best = probabilities.argmax(axis=-1).tolist()
    for row, index in zip(probabilities.tolist(), best, strict=True):
        if row[0] != row[0]:
            yield {"label": None, "probability": None, "probabilities": None}
        else:
            by_class = dict(zip(classes, row, strict=True))
            yield {"label": classes[index], "probability": row[index], "probabilities": by_class}
