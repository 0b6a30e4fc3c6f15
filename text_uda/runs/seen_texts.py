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
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **{use: np.unique(_hashes(of_use)) for use, of_use in texts.items()})
    write_whole(run / NAME, content.getvalue())


def seen_in_training(run: Path, texts: Sequence[str]) -> Mapping[str, np.ndarray] | None:
    """For each use, which of the texts the run used so, (N,) bool; None for a run of an earlier version.

    A text that is not among them is taken for one of them with a probability of 2^-64 for each text of the run.
    """
    try:
        with np.load(run / NAME, allow_pickle=False) as stored:
            kept = {use: stored[use] for use in USES}
    except (OSError, ValueError, KeyError):
        return None
    hashes = _hashes(texts)
    return {use: np.isin(hashes, of_use) for use, of_use in kept.items()}


def training_labels_among(run: Path, texts: Sequence[str]) -> np.ndarray | None:
    """Which of the texts have a label that the run used, (N,) bool; None for a run of an earlier version."""
    seen = seen_in_training(run, texts)
    return None if seen is None else seen["labeled"] | seen["dev"]


def _hashes(texts: Iterable[str]) -> np.ndarray:
    return np.ascontiguousarray(text_keys(map(str, texts))[:, 0])  # (N,) uint64
