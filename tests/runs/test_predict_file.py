"""No output replaces a file that is read, or becomes one that the same command reads the next time."""

from collections.abc import Callable
from pathlib import Path

import pytest

from text_uda import predict_file, pseudo_label
from text_uda.data.tables import would_read
from text_uda.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "g"
    folder.mkdir()
    (folder / "a.csv").write_text("text,id\nx,1\n")
    (folder / "b.csv").write_text("text,id\ny,2\n")
    return folder


@pytest.mark.parametrize("write", [predict_file, pseudo_label])
@pytest.mark.parametrize("source", ["g", "g/*.csv", "**/*.csv"])
@pytest.mark.parametrize(("out", "words"), [("a.csv", "is the input"), ("out.csv", "would read it the next time")])
def test_an_output_among_the_inputs_is_refused(
    folder: Path, write: Callable, source: str, out: str, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        write("no run", folder.parent / source, folder / out)
    assert sorted(folder.iterdir()) == [folder / "a.csv", folder / "b.csv"]
    assert (folder / "a.csv").read_text() == "text,id\nx,1\n"


def test_which_files_a_folder_and_a_glob_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert would_read(Path("."), Path("out.csv")) and would_read(folder, Path("out.csv"))
    assert would_read(Path("*.csv"), folder / "out.csv") and would_read(Path("../**/*.csv"), Path("out.csv"))
    assert not would_read(Path("."), Path("../out.csv")) and not would_read(Path("."), Path("_out.csv"))
    assert not would_read(Path("*.csv"), Path("out.jsonl")) and not would_read(Path("*.csv"), Path("sub/out.csv"))
    assert not would_read(Path("a.csv"), Path("out.csv"))
