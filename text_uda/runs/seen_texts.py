"""Which texts a run was trained on, as 8 bytes each: an evaluation says how many of its rows the run has seen.

A row counts as seen by its text, whatever its other columns: as in the sides of a split.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from text_uda.data.texts import text_keys
from translation_cache.atomic import write_whole

if TYPE_CHECKING:
    from text_uda.data import Split

NAME = "seen_texts.npz"

USES = ("labeled", "dev", "unlabeled")
"""What a text was used for: training with its label, choosing the weights, training without a label."""


def write_seen_texts(run: Path, split: "Split", unlabeled: Sequence[str]) -> None:
    """Keep the hashes of the texts that the run used; `unlabeled` are those it trained on."""
    texts = {"labeled": split.labeled.texts, "dev": split.dev.texts, "unlabeled": unlabeled}
    _write(run, {use: _hashes(of_use) for use, of_use in texts.items()})


def share_seen_texts(runs: Sequence[Path], *, shares_head: bool) -> None:
    """Give each of the runs the texts of the others.

    Runs with one model share the uses of all texts. With a head of its own, a model has learned no label of another
    run's texts: what trained their encoder counts as unlabeled, where the run itself had no label.
    """
    kept = [_read(run) for run in runs]
    of_all = {use: np.concatenate([of_run[use] for of_run in kept]) for use in USES}
    trained_on = np.concatenate([of_all["labeled"], of_all["unlabeled"]])
    for run, own in zip(runs, kept, strict=True):
        with_label = np.concatenate([own["labeled"], own["dev"]])
        without = np.concatenate([own["unlabeled"], np.setdiff1d(trained_on, with_label)])
        _write(run, of_all if shares_head else own | {"unlabeled": without})


def seen_in_training(run: Path, texts: Sequence[str]) -> Mapping[str, np.ndarray] | None:
    """For each use, which of the texts the run used so, (N,) bool; None for a run of an earlier version.

    A text that is not among them is taken for one of them with a probability of 2^-64 for each text of the run.
    """
    try:
        kept = _read(run)
    except (OSError, ValueError, KeyError):
        return None
    hashes = _hashes(texts)
    return {use: np.isin(hashes, of_use) for use, of_use in kept.items()}


def training_labels_among(run: Path, texts: Sequence[str]) -> np.ndarray | None:
    """Which of the texts have a label that the run used, (N,) bool; None for a run of an earlier version."""
    seen = seen_in_training(run, texts)
    return None if seen is None else seen["labeled"] | seen["dev"]


def _read(run: Path) -> dict[str, np.ndarray]:
    with np.load(run / NAME, allow_pickle=False) as stored:
        return {use: stored[use] for use in USES}


def _write(run: Path, hashes: Mapping[str, np.ndarray]) -> None:
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **{use: np.unique(of_use) for use, of_use in hashes.items()})
    write_whole(run / NAME, content.getvalue())


def _hashes(texts: Iterable[str]) -> np.ndarray:
    return np.ascontiguousarray(text_keys(map(str, texts))[:, 0])  # (N,) uint64
