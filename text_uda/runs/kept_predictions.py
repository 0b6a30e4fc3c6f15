"""What a run keeps of its predictions: which test rows are correct, packed, some to read, and the development rows."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from typing import TYPE_CHECKING

import numpy as np

from text_uda.keyed_random import keyed_seed

if TYPE_CHECKING:
    from text_uda.data import Rows

EXAMPLES = 500


def packed(correct: np.ndarray) -> str:
    """(N,) bool as base64 of numpy.packbits: six rows a character."""
    return b64encode(np.packbits(correct).tobytes()).decode("ascii")


def unpacked(text: str, rows: int) -> np.ndarray:
    """The inverse of `packed`, (N,) bool.

    Raises:
        ValueError: the text does not hold this number of rows.
    """
    data = np.frombuffer(b64decode(text, validate=True), dtype=np.uint8)
    if len(data) != -(-rows // 8):
        raise ValueError(f"{len(data)} bytes hold no {rows} rows")
    return np.unpackbits(data, count=rows).astype(bool)


def examples_of(rows: "Rows", classes: Sequence[str], probabilities: np.ndarray) -> str:
    """JSON lines with text, label, predicted class (names) and the probability of the predicted class.

    The rows with the smallest hash of their text are taken: the same rows for every run on the same test rows, whatever
    it predicts.

    Args:
        probabilities: (N, C).
    """
    keyed = ((keyed_seed("test example", text), index) for index, text in enumerate(rows.texts))
    lines = []
    for _, index in nsmallest(EXAMPLES, keyed):
        predicted = int(probabilities[index].argmax())
        example = {
            "text": rows.texts[index],
            "label": classes[rows.labels[index]],
            "predicted": classes[predicted],
            "probability": float(probabilities[index, predicted]),
        }
        lines.append(json.dumps(example, ensure_ascii=False) + "\n")
    return "".join(lines)


def dev_lines(rows: "Rows", classes: Sequence[str], probabilities: np.ndarray | None) -> str:
    """JSON lines with the label, the predicted class (names) and its probability of each development row.

    They say what error to expect above a threshold of the probability.

    Args:
        probabilities: (N, C); None where there are no development rows.
    """
    if probabilities is None:
        return ""
    predicted = probabilities.argmax(axis=-1)
    lines = []
    for label, best, row in zip(rows.labels, predicted.tolist(), probabilities, strict=True):
        line = {"label": classes[label], "predicted": classes[best], "probability": round(float(row[best]), 6)}
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    return "".join(lines)


def errors_above(lines: Iterable[str], threshold: float) -> tuple[int, int]:
    """(errors, rows) among the development rows whose prediction has at least this probability.

    Args:
        lines: as `dev_lines` wrote them.
    """
    rows = [row for row in map(json.loads, lines) if row["probability"] >= threshold]
    return sum(row["label"] != row["predicted"] for row in rows), len(rows)
