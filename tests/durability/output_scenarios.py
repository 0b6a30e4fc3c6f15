"""Calls that write files and folders which appear whole or not at all, each in the folder `out` of a disk.

Each is a generator: what was written before it yields is acknowledged.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from make_fixtures import TEXTS
from run_scenario import FIXTURE

from text_uda import report
from text_uda.model import token_ids
from text_uda.model.feature_store import FeatureStore, keys_of
from text_uda.report import drawing, page
from text_uda.report.table_files import to_markdown
from text_uda.runs.predict_file import predict_file
from text_uda.runs.prediction import TrainedClassifier
from text_uda.text import wordnet
from text_uda.translate import ctranslate2, ctranslate2_conversion, marian_checkpoint
from translation_cache.atomic import whole_folder

Writes = Callable[[Path], Iterator[None]]


def write_report(disk: Path) -> Iterator[None]:
    """The page, the tables and the figures; the folders hold those of other runs before."""
    for runs in ([FIXTURE / "run", FIXTURE / "run" / "refit"], [FIXTURE / "run"]):
        comparison = report.read(runs)
        comparison.page(disk / "out" / "report.html")
        comparison.export(disk / "out" / "tables")
        comparison.figures(disk / "out" / "figures")
        yield


def write_predictions(disk: Path) -> Iterator[None]:
    """In each format, over the predictions of other rows."""
    for rows in (TEXTS[:3], TEXTS):
        for suffix in ("csv", "jsonl", "parquet", "csv.gz"):
            source = disk.parent / "texts.csv"
            source.write_text("\n".join(["text", *rows]))
            predict_file(FIXTURE / "run", source, disk / "out" / f"predicted.{suffix}")
        yield


def convert_model(disk: Path) -> Iterator[None]:
    """With a stand-in for CTranslate2, whose native code writes several files."""

    def convert(name: str, model: Any, vocabulary: Any, folder: Path, precision: str) -> None:
        for file, size in (("model.bin", 5000), ("config.json", 40), ("shared_vocabulary.json", 300)):
            (folder / file).write_bytes(file[:1].encode() * size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXT_UDA_HOME", str(disk / "out"))
        patch.setattr(ctranslate2_conversion, "convert", convert)
        patch.setattr(marian_checkpoint, "load_model", lambda model, dtype: None)
        patch.setattr(marian_checkpoint, "vocabulary", lambda model: None)
        patch.setattr(marian_checkpoint, "identity", lambda model: {"model": "tiny", "revision": "1"})
        patch.setattr(ctranslate2, "_checked", set())  # of this process
        ctranslate2.CTranslate2("tiny")._folder()
        yield


def copy_wordnet(disk: Path) -> Iterator[None]:
    source = disk.parent / "wordnet"
    source.mkdir(exist_ok=True)
    for name in ("data.noun", "index.noun", "index.sense"):
        (source / name).write_text(f"{name} " * 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wordnet, "DEBIAN", source)
        wordnet._fill.__wrapped__(disk / "out" / "corpora" / "wordnet")
        yield


def replace_folder(disk: Path) -> Iterator[None]:
    for content in ("earlier", "later"):
        with whole_folder(disk / "out" / "folder", replace=True) as unfinished:
            (unfinished / "inner").mkdir()
            for name in ("a.txt", "inner/b.txt"):
                (unfinished / name).write_text(f"{content} {name}" * 100)
        yield


def store_features(disk: Path) -> Iterator[None]:
    """Two additions, and then no text is missing."""
    store = FeatureStore(disk / "out" / "features")
    for texts in (TEXTS[:5], TEXTS[5:]):
        keys, features = keys_of(texts), torch.zeros(len(texts), 4)
        if (missing := store.take(keys, features)).any():
            store.add(keys[missing], _features(texts)[torch.from_numpy(missing)])
        yield
    features = torch.zeros(len(TEXTS), 4)
    assert not store.take(keys_of(TEXTS), features).any() and torch.equal(features, _features(TEXTS))


def _features(texts: tuple[str, ...]) -> torch.Tensor:
    return torch.tensor([[float(len(text)), 1.0, 2.0, float(ord(text[-1]))] for text in texts])


def store_token_ids(disk: Path) -> Iterator[None]:
    blocks = [[[1, 2, 3], [4]], [[5, 6]]]
    ids = token_ids.load_or_create(disk / "out" / "tokens", "key", lambda: blocks, np.dtype("<u2"), rows=3)
    assert [row.tolist() for row in (ids[number] for number in range(3))] == [[1, 2, 3], [4], [5, 6]]
    yield


WRITES: tuple[Writes, ...] = (
    *(write_report, write_predictions, convert_model, copy_wordnet, replace_folder, store_features, store_token_ids),
)


@contextmanager
def same_bytes() -> Iterator[None]:
    """The page of a report has the date, and drawing takes time: the simulation writes a page of tables only. The model
    is opened once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainedClassifier, "open", cache(TrainedClassifier.open))
        patch.setattr(page, "render", lambda comparisons, left_out: to_markdown(comparisons, left_out) * 20)
        patch.setattr(drawing, "paper_files", lambda chart: dict.fromkeys(("svg", "pdf"), chart.name.encode() * 100))
        yield


def files(disk: Path) -> dict[str, bytes]:
    """By path; without what is hidden, which no reader takes for a finished file."""
    paths = [path for path in disk.rglob("*") if path.is_file()]
    names = {str(path.relative_to(disk)): path for path in paths}
    return {name: path.read_bytes() for name, path in names.items() if "/." not in f"/{name}"}
