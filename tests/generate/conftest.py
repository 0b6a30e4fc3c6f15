"""Waits that do not wait, and a tiny language model."""

import sys
import threading
from pathlib import Path

import pytest

from text_uda.generate import chat_server

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that a client would make; the clock goes on by them at once, and by nothing else."""
    taken: list[float] = []
    lock = threading.Lock()

    def pause(stop: threading.Event, seconds: float) -> None:
        with lock:
            taken.append(seconds)

    monkeypatch.setattr(chat_server, "pause", pause)
    monkeypatch.setattr(chat_server, "now", lambda: sum(taken))
    monkeypatch.delenv(chat_server.KEY, raising=False)
    monkeypatch.delenv(chat_server.OPENAI_KEY, raising=False)
    return taken


@pytest.fixture(scope="session")
def tiny_llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tiny_model

    return tiny_model.write(tmp_path_factory.mktemp("tiny_llm"))
