"""The batches of a run, each a pure function of the step: which rows, of which view, in which process."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from text_uda import distributed
from text_uda.errors import SettingsError
from text_uda.model.inputs import Batch
from text_uda.model.tokenized import ModelRows
from text_uda.paraphrasing.pairs import Originals, Pairs
from text_uda.training.row_order import RowStream
from text_uda.training.settings import TrainSettings

AHEAD = 2  # batches that are made while a step runs


def check_parts(settings: TrainSettings) -> None:
    """Raise SettingsError where the rows of a step cannot be cut into equal parts for the processes."""
    if settings.labeled_batch % distributed.processes():
        raise SettingsError(
            f"labeled_batch={settings.labeled_batch} cannot be cut into equal parts for {distributed.processes()} "
            "processes; give a multiple of that"
        )


class Feed:
    """Rows of each step. Of several processes each gets the rows of its own part, which no other has."""

    def __init__(
        self, labeled: ModelRows, labels: Tensor, unlabeled: Pairs | Originals | None, settings: TrainSettings
    ) -> None:
        self._labeled, self._labels, self.unlabeled, self._settings = labeled, labels, unlabeled, settings
        self._labeled_stream = RowStream(len(labeled), seed=settings.seed, name="labeled")
        if unlabeled is not None:
            self._unlabeled_stream = RowStream(len(unlabeled), seed=settings.seed, name="unlabeled")

    def batch(self, step: int) -> Batch:
        """This process's part of the rows of a step."""
        settings = self._settings
        indices = self._labeled_stream.take(step, settings.labeled_batch)[0][distributed.own(settings.labeled_batch)]
        rows = torch.from_numpy(indices)
        labeled, labels = self._labeled.batch(indices), self._labels[rows]
        if self.unlabeled is None:
            return Batch(labeled, labels, labeled_rows=rows)
        own = distributed.own(settings.unlabeled_batch())
        chosen, visits = (each[own] for each in self._unlabeled_stream.take(step, settings.unlabeled_batch()))
        original, augmented = self.unlabeled.batch(chosen, visits)
        return Batch(labeled, labels, original, augmented, rows, torch.from_numpy(chosen))

    def batches(self, first: int, last: int, device: torch.device) -> Iterator[Batch]:
        """Those of the steps from `first` up to, but not with, `last`, some made ahead by another thread."""
        with ThreadPoolExecutor(1, thread_name_prefix="feed") as thread:
            made: deque[Future[Batch]] = deque()
            try:
                for step in range(first, last):
                    while len(made) <= AHEAD and step + len(made) < last:
                        made.append(thread.submit(self._ready, step + len(made), device))
                    yield made.popleft().result().to(device)
            finally:  # also where the loop is left early
                for future in made:
                    future.cancel()

    def _ready(self, step: int, device: torch.device) -> Batch:
        batch = self.batch(step)
        return batch.pin_memory() if device.type == "cuda" else batch

    def rows_named(self, batch: Batch) -> dict[str, list[int]]:
        """Which labeled rows and which unlabeled texts of the data these are."""
        assert batch.labeled_rows is not None
        named = {"labeled": batch.labeled_rows.tolist()}
        if self.unlabeled is not None and batch.unlabeled_rows is not None:
            named["unlabeled"] = self.unlabeled.texts_of(batch.unlabeled_rows.cpu().numpy()).tolist()
        return named
