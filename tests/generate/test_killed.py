"""A client that is killed in the middle and goes on: what was committed is not asked again.

Through the stub, and through `transformers serve` with a tiny model where transformers[serving] is installed.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from chat_stub import says, serving

from text_uda import LanguageModel, paraphrase, read_paraphrases

TEXTS = [f"The {adjective} film number {n}." for n in range(12) for adjective in ("good", "dull", "long", "odd")]
DONE = 20  # rows at the kill
ROOT = Path(__file__).resolve().parents[2]

KILLED = """
import os, signal, sys
from text_uda import LanguageModel, paraphrase

class Committing(LanguageModel):
    commit_every_s = 0.0  # each row

def progress(done, total):
    if done == int(number):
        os.kill(os.getpid(), signal.SIGKILL)

model, url, folder, number, *texts = sys.argv[1:]
job = Committing(model=model, url=url, prompt="{text}", retries=0, max_tokens=8, concurrency=2)
paraphrase(texts, job, folder, progress=progress)
"""


@pytest.fixture(scope="module")
def transformers_serve(tiny_llm: Path) -> Iterator[str]:
    if any(find_spec(name) is None for name in ("fastapi", "uvicorn", "openai")):
        pytest.skip("`transformers serve` needs transformers[serving]")
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(tiny_llm), "--device", "cpu"]
    process = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", "0"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = process.stderr
    url = next((line.split()[-5] for line in lines if "Uvicorn running on" in line), None)
    reader = threading.Thread(target=lambda: [None for _ in lines])  # its log must not fill the pipe
    reader.start()
    try:
        assert url is not None, "the server did not start"
        yield f"{url}/v1"
    finally:
        process.kill()
        process.wait()
        reader.join()
        lines.close()


@pytest.mark.parametrize("server", ["stub", pytest.param("transformers serve", marks=pytest.mark.slow)])
def test_a_killed_client_goes_on(
    server: str, tiny_llm: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with serving(lambda prompt, _: says(prompt.replace("The", "That"))) as stub:
        if server != "stub":
            stub.upstream = request.getfixturevalue("transformers_serve")
        arguments = [str(tiny_llm), stub.url, str(tmp_path), str(DONE), *TEXTS]
        killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], env=dict(os.environ))
        assert killed.returncode == -signal.SIGKILL
        job = LanguageModel(model=str(tiny_llm), url=stub.url, prompt="{text}", retries=0, max_tokens=8, concurrency=2)
        report = paraphrase(TEXTS, job, tmp_path)
        assert (report.present, report.computed) == (DONE, len(TEXTS) - DONE)
        assert paraphrase(TEXTS, job, tmp_path).computed == 0
    assert set(stub.prompts) == set(TEXTS)
    assert stub.prompts.total() - len(TEXTS) <= 2  # those under way at the kill
    statuses = {sample.status for (sample,) in read_paraphrases(TEXTS, job, tmp_path)}
    of_random_model = {"ok", "truncated", "empty", "chatter", "unchanged", "language", "length-ratio", "repetition"}
    assert statuses <= ({"ok"} if server == "stub" else of_random_model | {"numbers", "negation"})
