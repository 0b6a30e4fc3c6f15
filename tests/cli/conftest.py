"""A user's own reviews in three classes, and the command called in this process."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from text_uda.cli import main

sys.path.insert(0, str(Path(__file__).parent))  # where forked processes find what they run

OPENINGS = ("The film", "This movie", "Her book", "The old hotel", "My dinner", "That long show")
VERDICTS = {
    "bad": ("was a terrible waste of time", "is boring and slow", "made us angry", "was an awful mistake"),
    "fine": ("was an average thing", "is usual and normal", "was neither good nor bad", "is a common affair"),
    "good": ("was a wonderful surprise", "is clever and funny", "made us happy", "was a great success"),
}
ENDINGS = ("from the start", "in the end", "for the children", "last night", "in every way")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Call the command in this process: `run("train", path, "--labels", 3, input=b"...")`."""
    monkeypatch.delenv("TEXT_UDA_DEBUG", raising=False)

    def call(*words: object, input: bytes | str | None = None) -> Result:
        return CliRunner().invoke(main, [str(word) for word in words], input=input)

    return call


@pytest.fixture
def record(run: Callable[..., Result]) -> Callable[..., dict[str, Any]]:
    """Call the command with --json; it has to succeed. What its last line says."""

    def call(*words: object, input: bytes | str | None = None) -> dict[str, Any]:
        result = run(*words, "--json", input=input)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout.splitlines()[-1])

    return call


@pytest.fixture
def refused(run: Callable[..., Result]) -> Callable[..., str]:
    """Call the command; it has to end with code 2 and one line, which is given back without its `error: `."""

    def call(*words: object, input: bytes | str | None = None) -> str:
        result = run(*words, input=input)
        assert result.exit_code == 2, result.output
        lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1 and result.stderr.splitlines()[-1] == lines[0], result.stderr
        assert "Traceback" not in result.output
        return lines[0].removeprefix("error: ")

    return call


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 distinct reviews, three classes, tab-separated."""
    path = tmp_path_factory.mktemp("own") / "reviews.tsv"
    rows = [
        f"{opening} {verdict} {ending}.\t{stars}"
        for opening in OPENINGS
        for place in range(4)
        for ending in ENDINGS
        for stars, verdicts in VERDICTS.items()
        if (verdict := verdicts[place])
    ]
    path.write_text("review\tstars\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path
