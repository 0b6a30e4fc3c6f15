"""Whether a classifier is as often right as it says: calibration error, and the bars of a reliability diagram."""

from typing import Any

import numpy as np

BINS = 15  # as in the paper


def calibration(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Expected calibration error (Guo et al. 2017, "On Calibration of Modern Neural Networks", 1706.04599, Eq. 3).

    Rows fall into 15 equal bins (low, high] of their largest probability, their confidence; the error is the mean
    distance of confidence and accuracy of a bin, weighted by its rows. It depends on the bins and is biased upwards on
    few rows, so it compares models on the same rows, and is no property of a model.

    Args:
        probabilities: (N, C).
        labels: (N,), the index of the right class.
    Returns:
        `error` in percent, and `bins`: low, high, count, and the means confidence and accuracy, None in an empty bin.
    """
    confidence = probabilities.max(axis=-1).astype(np.float64)
    right = probabilities.argmax(axis=-1) == labels
    edges = np.linspace(0.0, 1.0, BINS + 1)
    places = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    confidences = np.bincount(places, weights=confidence, minlength=BINS)
    rights = np.bincount(places, weights=right, minlength=BINS)
    return {
        "error": 100.0 * float(np.abs(rights - confidences).sum() / len(labels)),
        "bins": [
            {
                "low": float(edges[place]),
                "high": float(edges[place + 1]),
                "count": count,
                "confidence": float(confidences[place] / count) if count else None,
                "accuracy": float(rights[place] / count) if count else None,
            }
            for place, count in enumerate(counts.tolist())
        ],
    }
