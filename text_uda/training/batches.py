"""The batches of a run. A batch is a pure function of the step: which rows, of which view, in which process."""

from collections.abc import Callable, Iterator
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from text_uda import distributed
from text_uda.errors import SettingsError
from text_uda.fusion.fitted_columns import with_columns
from text_uda.model.inputs import Batch
from text_uda.model.tokenized import ModelRows
from text_uda.paraphrasing.pairs import Originals, Pairs
from text_uda.training.prefetch import prefetched
from text_uda.training.row_sampling import RowStream
from text_uda.training.settings import TrainSettings


def check_divisible(settings: TrainSettings) -> None:
    """Raise SettingsError where the rows of a step cannot be divided equally among the processes."""
    if settings.labeled_batch % distributed.processes():
        raise SettingsError(
            f"labeled_batch={settings.labeled_batch} cannot be divided equally among {distributed.processes()} "
            "processes; give a multiple of that number"
        )


class Prepared(Protocol):
    def to(self, device: torch.device) -> Self: ...
    def pin_memory(self) -> Self: ...


Rows = TypeVar("Rows", bound=Prepared)


def prepared_ahead(batch: Callable[[int], Rows], first: int, last: int, device: torch.device) -> Iterator[Rows]:
    """The batches for steps [first, last), on the device; another thread prepares some ahead."""

    def pinned(step: int) -> Rows:
        """In memory that is copied to a GPU fast."""
        rows = batch(step)
        return rows.pin_memory() if device.type == "cuda" else rows

    for rows in prefetched(pinned, first, last):
        yield rows.to(device)


class BatchStream:
    """The rows of each step. Each of several processes gets its own part of them."""

    def __init__(
        self,
        labeled: ModelRows,
        labels: Tensor,
        unlabeled: Pairs | Originals | None,
        settings: TrainSettings,
        *,
        columns: Tensor | None = None,
    ) -> None:
        """
        Args:
            columns: of the unlabeled texts, (N, M), where their rows have other columns.
        """
        self._columns = columns
        self._labeled, self._labels, self.unlabeled, self._settings = labeled, labels, unlabeled, settings
        self._labeled_stream = RowStream(len(labeled), seed=settings.seed, name="labeled")
        if unlabeled is not None:
            self._unlabeled_stream = RowStream(len(unlabeled), seed=settings.seed, name="unlabeled")

    def batch(self, step: int) -> Batch:
        """This process's part of the rows of a step."""
        settings = self._settings
        local = distributed.local_rows(settings.labeled_batch)
        indices = self._labeled_stream.take(step, settings.labeled_batch)[0][local]
        rows = torch.from_numpy(indices)
        labeled, labels = self._labeled.batch(indices), self._labels[rows]
        if self.unlabeled is None:
            return Batch(labeled, labels, labeled_rows=rows)
        local = distributed.local_rows(settings.unlabeled_batch())
        indices, visits = self._unlabeled_stream.take(step, settings.unlabeled_batch())
        original, augmented = self.unlabeled.batch(indices[local], visits[local])
        if self._columns is not None:  # both views of a row share them
            columns = self._columns[torch.from_numpy(self.unlabeled.texts_of(indices[local]))]
            original = with_columns(original, columns)
            augmented = None if augmented is None else with_columns(augmented, columns)
        return Batch(labeled, labels, original, augmented, rows, torch.from_numpy(indices[local]))

    def batches(self, first: int, last: int, device: torch.device) -> Iterator[Batch]:
        """The batches for steps [first, last)."""
        return prepared_ahead(self.batch, first, last, device)

    def row_indices(self, batch: Batch) -> dict[str, list[int]]:
        """Indices of the labeled rows and of the unlabeled texts of a batch in the data."""
        assert batch.labeled_rows is not None
        indices = {"labeled": batch.labeled_rows.tolist()}
        if self.unlabeled is not None and batch.unlabeled_rows is not None:
            indices["unlabeled"] = self.unlabeled.texts_of(batch.unlabeled_rows.cpu().numpy()).tolist()
        return indices
