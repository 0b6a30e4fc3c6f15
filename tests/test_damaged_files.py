"""Readers of files under damage: the right content, or an error of this library; never another exception.

A file is arbitrary bytes, or a valid file with bytes flipped, cut, repeated or inserted. TEXT_UDA_FUZZ=20000 draws that
many files for each reader, others each time; without it the same few are drawn.
"""

import bz2
import csv
import gzip
import io
import json
import os
import shutil
import signal
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from text_uda.data.files import read_labeled
from text_uda.data.tables import open_table
from text_uda.errors import UserError
from translation_cache import Cache, CacheError, Paraphrase, fingerprint, rows, stats, verify

_EXAMPLES = int(os.environ.get("TEXT_UDA_FUZZ", "0"))
fuzz = settings(
    max_examples=_EXAMPLES or 25,
    derandomize=not _EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of a file that fails
_HANGS_S = 60 if _EXAMPLES else 600  # on a busy machine
_INSERTED = [
    b'"',
    b"\0",
    b"\r",
    b"\n\n",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\\",
    b",,",
    b"[" * 50_000,
    b'{"a":' * 5000,
    b"1" * 5000,
]
_INSERTED += [
    b"null",
    b"NaN",
    b"-1",
    b"1e999",
    b"true",
    b"{}",
    b"[]",
    b'"\\ud800"',
    b"\xf0\x9f\x98\x80",
    b"\x1a",
    b"PK\x03\x04",
]


@st.composite
def damaged(draw: st.DrawFn, valid: bytes) -> bytes:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    content = bytearray(valid)
    for _ in range(draw(st.integers(1, 3))):
        start, stop = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        kind = draw(st.sampled_from(["flip", "cut", "end", "repeat", "insert", "bytes"]))
        if kind == "flip" and start < len(content):
            content[start] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del content[start:stop]
        elif kind == "end":
            del content[start:]
        elif kind == "repeat":
            content[start:start] = content[start:stop]
        elif kind == "insert":
            content[start:start] = draw(st.sampled_from(_INSERTED))
        else:
            content[start : start + 4] = draw(st.binary(max_size=8))
    return bytes(content)


@contextmanager
def in_bounded_time() -> Iterator[None]:
    def hangs(*_: object) -> None:
        raise AssertionError(f"no end after {_HANGS_S} s")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(_HANGS_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attempt(read: Callable[[], Any]) -> Any:
    """What is read; None after an error that names the file."""
    with in_bounded_time():
        try:
            return read()
        except (UserError, CacheError) as error:
            message = str(error)
            assert message.strip() and len(message) < 5000
            return None


# --- tables --------------------------------------------------------------------------------------------------------

_ROWS = [("a fine text", "good"), ('with "quotes", and a comma', "bad"), ("two\nlines", "good"), ("naïve 🙂", "bad")]
_ROWS = [*_ROWS, *((f"text number {n}", "good" if n % 2 else "bad") for n in range(8))]


def _delimited(delimiter: str) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerows([("text", "label"), *_ROWS])
    return file.getvalue().encode()


def _packed_in_zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.csv", content)
    return file.getvalue()


def _parquet() -> bytes:
    file = io.BytesIO()
    info = {"info": {"features": {"label": {"names": ["bad", "good"], "_type": "ClassLabel"}}}}
    schema = pa.schema({"text": pa.string(), "label": pa.int64()}, metadata={"huggingface": json.dumps(info)})
    columns = {"text": [text for text, _ in _ROWS], "label": [int(label == "good") for _, label in _ROWS]}
    pq.write_table(pa.table(columns, schema=schema), file)
    return file.getvalue()


_JSON = [{"text": text, "label": label} for text, label in _ROWS]
TABLES = {
    "rows.csv": _delimited(","),
    "rows.tsv": _delimited("\t"),
    "rows.json": json.dumps(_JSON).encode(),
    "rows.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _JSON).encode(),
    "rows.txt": "".join(text.replace("\n", " ") + "\n" for text, _ in _ROWS).encode(),
    "rows.parquet": _parquet(),
    "utf-16.csv": _delimited(",").decode().encode("utf-16"),
    "rows.csv.gz": gzip.compress(_delimited(",")),
    "rows.csv.bz2": bz2.compress(_delimited(",")),
    "rows.csv.zip": _packed_in_zip(_delimited(",")),
    "rows.csv.zst": bytes(memoryview(pa.compress(_delimited(","), "zstd"))),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str):
    path = Path(name)

    def read(folder: Path, content: bytes) -> Any:
        (folder / path).write_bytes(content)
        attempt(lambda: list(open_table(folder / path).records()))
        return attempt(lambda: list(read_labeled(folder / path, text_column=None, label_column=None)))

    with tempfile.TemporaryDirectory() as folder:
        whole = read(Path(folder), TABLES[name])
        assert path.suffix == ".txt" or [row[1:] for row in whole] == _ROWS

        @fuzz
        @given(damaged(TABLES[name]))
        def run(content: bytes) -> None:
            labeled = read(Path(folder), content)
            assert labeled is None or all(isinstance(text, str) and isinstance(y, str) for _, text, y in labeled)

        run()


@pytest.mark.parametrize("name", ["data-00000-of-00001.arrow", "state.json", "dataset_info.json"])
def test_a_saved_data_set(name: str):
    import datasets

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "saved")
        datasets.Dataset.from_list(_JSON).save_to_disk(path)
        valid = (path / name).read_bytes()

        @fuzz
        @given(damaged(valid))
        def run(content: bytes) -> None:
            (path / name).unlink()  # not written over: an earlier reader has mapped it
            (path / name).write_bytes(content)
            attempt(lambda: list(open_table(path).records()))

        run()


# --- caches and stores ---------------------------------------------------------------------------------------------

_SETTINGS = {"method": "upper", "version": 1, "unit": "text"}


@pytest.mark.parametrize("name", ["shard", "settings"])
def test_a_cache(name: str):
    with tempfile.TemporaryDirectory() as folder:
        cache, digest = Cache(folder), fingerprint(_SETTINGS)
        for part in range(2):
            made = [(f"text {part} {n}", 0, Paraphrase(f"TEXT {n}", scores={"change_rate": 0.5})) for n in range(9)]
            cache.add(_SETTINGS, made)
        whole = sorted(map(repr, rows(cache, digest)))
        files = sorted(path for path in Path(folder, digest).iterdir() if path.is_file())
        path = next(path for path in files if (path.suffix == ".parquet") == (name == "shard"))
        valid = path.read_bytes()

        @fuzz
        @given(damaged(valid))
        def run(content: bytes) -> None:
            path.write_bytes(content)
            present = attempt(lambda: sorted(map(repr, rows(Cache(folder), digest))))
            assert present is None or (set(present) <= set(whole) and len(present) == len(set(present)))
            attempt(lambda: stats(Cache(folder)))
            checked = attempt(lambda: verify(Cache(folder)))
            undamaged = checked is not None and not checked["damaged"]
            if undamaged and name == "settings":
                assert json.loads(content) == _SETTINGS  # also with a key that is there twice
            else:
                assert content == valid or not undamaged

        run()


def test_token_ids():
    from text_uda.model.token_ids import load_or_create, read, type_for

    kind = type_for(1000)
    with tempfile.TemporaryDirectory() as folder:
        load_or_create(Path(folder), "key", lambda: [[[1, 2, 3], [4]], [[5, 6]]], kind, rows=3)
        path = Path(folder, "key.safetensors")
        valid = path.read_bytes()

        @fuzz
        @given(damaged(valid))
        def run(content: bytes) -> None:
            path.unlink()
            path.write_bytes(content)
            ids = read(path, "key", rows=3)
            assert ids is None or [row.tolist() for row in (ids[0], ids[1], ids[2])] == [[1, 2, 3], [4], [5, 6]]

        run()


def test_features():
    import torch

    from text_uda.model.feature_store import FeatureStore, keys_of

    keys, features = keys_of(["a", "b", "c"]), torch.arange(12.0).reshape(3, 4)
    with tempfile.TemporaryDirectory() as folder:
        FeatureStore(Path(folder)).add(keys, features)
        (path,) = Path(folder).glob("*.safetensors")
        valid = path.read_bytes()

        @fuzz
        @given(damaged(valid))
        def run(content: bytes) -> None:
            path.unlink(missing_ok=True)
            path.write_bytes(content)
            into = torch.zeros(3, 4)
            missing = FeatureStore(Path(folder)).take(keys, into)
            assert missing.dtype == np.bool_ and missing.shape == (3,)

        run()


# --- runs ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished_run(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from text_uda.data import Rows, Split
    from text_uda.objectives import PRESETS
    from text_uda.training.settings import TrainSettings
    from text_uda.training.train_classifier import train

    texts = [f"the {thing} was {word}" for thing in ("film", "plot", "scene") for word in ("good", "bad")]
    labeled = Rows(tuple(texts), (1, 0) * 3)
    split = Split("fuzzed", ("bad", "good"), labeled, (), labeled, labeled, "0" * 32)
    out = tmp_path_factory.mktemp("fuzzed") / "run"
    chosen = TrainSettings(encoder=str(tiny_bert), steps=2, labeled_batch=2, max_tokens=16, log_every=1)
    train(split, objectives=PRESETS["supervised"].objectives, settings=chosen, out=out)
    return out


@pytest.mark.parametrize("name", ["config.json", "result.json", "metrics.jsonl"])
def test_a_run(name: str, finished_run: Path, tmp_path: Path):
    import click

    from text_uda.cli.config_file import _content
    from text_uda.report.load_runs import read_run
    from text_uda.runs.directory import RunDirectory

    run = tmp_path / "run"
    shutil.copytree(finished_run, run, ignore=shutil.ignore_patterns("model"))
    (run / "model").mkdir()
    valid = (run / name).read_bytes()
    readers = [read_run, *(lambda path, of=of: of(RunDirectory(path)) for of in _OF_DIRECTORY)]

    @fuzz
    @given(damaged(valid))
    def fuzzed(content: bytes) -> None:
        (run / name).write_bytes(content)
        for read in readers:
            attempt(lambda read=read: read(run))
        if name == "config.json":
            with suppress(click.UsageError):
                _content(run / name)

    fuzzed()


_OF_DIRECTORY: list[Callable[[Any], Any]] = [
    lambda directory: directory.config(),
    lambda directory: directory.result(),
    lambda directory: directory.read_metrics(),
    lambda directory: directory.check_finished(),
]
