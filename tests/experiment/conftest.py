"""Puts this folder on the path, where worker processes import `fake_runner`."""

import sys
from pathlib import Path

import pytest

from text_uda.training.settings import TrainSettings

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 short texts of two classes."""
    words = {"good": ("great", "fine", "best", "love"), "bad": ("poor", "dull", "worst", "hate")}
    lines = ["text,label"]
    for label, verdicts in words.items():
        for thing in ("film", "movie", "plot", "story", "actor", "scene", "phone", "product", "review", "show"):
            lines += [f"the {thing} is {verdict} {end},{label}" for verdict in verdicts for end in ("to me", "for all")]
    path = tmp_path_factory.mktemp("reviews") / "reviews.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def head(tiny_bert: Path) -> TrainSettings:
    return TrainSettings(
        encoder=str(tiny_bert), tune="head", steps=6, labeled_batch=4, max_tokens=32, evaluate_every=3, log_every=2
    )
