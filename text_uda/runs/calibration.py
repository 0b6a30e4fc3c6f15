"""Calibration: whether confidence equals accuracy, as one error and as the bins of a reliability diagram."""

from typing import Any

import numpy as np

BINS = 15  # as in the paper


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Expected calibration error (Guo et al. 2017, "On Calibration of Modern Neural Networks", 1706.04599, Eq. 3).

    The confidence of a row is its largest probability. Rows fall into 15 bins (low, high] of equal width; the error is
    the distance between mean confidence and accuracy of a bin, averaged over the bins with their rows as weights. It
    depends on the bins and is biased upwards on few rows: compare it between models on the same rows only.

    Args:
        probabilities: (N, C).
        labels: (N,), the index of the correct class.
    Returns:
        `error` in percent; `bins` with low, high, count, and the means confidence and accuracy, None in an empty bin.
    """
    confidence = probabilities.max(axis=-1).astype(np.float64)
    correct = probabilities.argmax(axis=-1) == labels
    edges = np.linspace(0.0, 1.0, BINS + 1)
    bins = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    confidence_sums = np.bincount(bins, weights=confidence, minlength=BINS)
    correct_counts = np.bincount(bins, weights=correct, minlength=BINS)
    return {
        "error": 100.0 * float(np.abs(correct_counts - confidence_sums).sum() / len(labels)),
        "bins": [
            {
                "low": float(edges[index]),
                "high": float(edges[index + 1]),
                "count": count,
                "confidence": float(confidence_sums[index] / count) if count else None,
                "accuracy": float(correct_counts[index] / count) if count else None,
            }
            for index, count in enumerate(counts.tolist())
        ],
    }
