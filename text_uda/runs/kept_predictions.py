"""What a run keeps of its predictions for the test rows: which are correct, packed, and some examples to read."""

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
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
