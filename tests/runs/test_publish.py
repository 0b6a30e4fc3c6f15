"""`text-uda push` to a stand-in of the hub on this machine: what it sends, refuses, and never prints."""

import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from text_uda.runs.run_files import FORMAT, MARKER

TOKEN = "hf_secretsecretsecret"


class StandIn(ThreadingHTTPServer):
    """Speaks the part of the hub's interface that an upload uses: create, branch, preupload, LFS, commit."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.refuse_with: int | None = None
        self.refuse_at = "create"
        self.created: list[dict[str, Any]] = []
        self.branches: list[str] = []
        self.uploads: dict[str, bytes] = {}
        self.commits: dict[str, dict[str, bytes]] = {}  # repository@branch -> files
        self.tokens: set[str | None] = set()


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, content: Any, code: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._answer({"error": "no such repository"}, 404)

    def do_PUT(self) -> None:
        self.server.uploads[self.path.removeprefix("/upload/")] = self._body()
        self._answer({})

    def do_POST(self) -> None:
        server, body = self.server, self._body()
        server.tokens.add(self.headers.get("authorization"))
        if server.refuse_with is not None and server.refuse_at in self.path:
            self._answer({"error": f"refused {TOKEN[:5]}"}, server.refuse_with)
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            is_new = asked not in server.created
            server.created.append(asked)
            name = f"{asked['organization'] or 'ada'}/{asked['name']}"
            self._answer({"url": f"{server.url}/{name}", "name": name}, 200 if is_new else 409)
        elif match := re.fullmatch(r"/api/models/(.+)/branch/(.+)", self.path):
            server.branches.append(match[2])
            self._answer({})
        elif "/preupload/" in self.path:
            files = [file["path"] for file in json.loads(body)["files"]]
            modes = {path: "lfs" if path.endswith(".safetensors") else "regular" for path in files}
            answer = [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes.items()]
            self._answer({"files": answer})
        elif self.path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                item | {"actions": {"upload": {"href": f"{server.url}/upload/{item['oid']}"}}}
                for item in json.loads(body)["objects"]
            ]
            self._answer({"transfer": "basic", "objects": objects})
        elif match := re.fullmatch(r"/api/models/(.+)/commit/(.+)", self.path):
            files = {}
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    files[value["path"]] = server.uploads[value["oid"]]
            server.commits[f"{match[1]}@{match[2]}"] = files
            self._answer({"commitUrl": f"{server.url}/{match[1]}/commit/{'a' * 40}", "commitOid": "a" * 40})
        else:
            self._answer({"errors": [], "warnings": []})


@pytest.fixture
def hub() -> Iterator[StandIn]:
    with StandIn() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def write_run(path: Path, content: bytes = b"weights") -> None:
    (path / "model" / "1_Pooling").mkdir(parents=True)
    (path / "checkpoints").mkdir()
    (path / "checkpoints" / "state.json").write_text("{}")
    (path / "metrics.jsonl").write_text("")
    (path / "config.json").write_text(json.dumps({"method": "uda", MARKER: FORMAT}))
    (path / "result.json").write_text('{"test_error": 10.0}')
    (path / "model" / "model.safetensors").write_bytes(content)
    (path / "model" / "config.json").write_text("{}")
    (path / "model" / "README.md").write_text("---\nlibrary_name: transformers\n---\n\n# A model\n")
    (path / "model" / "1_Pooling" / "config.json").write_text("{}")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path / "run")
    return tmp_path / "run"


def push(*words: object, endpoint: str, token: str | None = TOKEN, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("HF_TOKEN", "HF_HUB_OFFLINE")}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1", **more}
    environment |= {} if token is None else {"HF_TOKEN": token}
    command = [sys.executable, "-m", "text_uda.cli", "push", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert TOKEN not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_the_model_folder_goes_up_whole_and_nothing_else(hub, run):
    done = push(run, "ada/tickets", "--private", endpoint=hub.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"the model is at {hub.url}/ada/tickets\n"
    files = {"README.md", "config.json", "model.safetensors", "1_Pooling/config.json"}
    assert hub.commits["ada/tickets@main"].keys() == files
    assert hub.commits["ada/tickets@main"]["model.safetensors"] == b"weights"
    assert hub.uploads.keys() == {hashlib.sha256(b"weights").hexdigest()}
    assert hub.created[0]["visibility"] == "private" and hub.tokens == {f"Bearer {TOKEN}"}


def test_the_refit_is_pushed_where_there_is_one_to_a_branch_of_an_existing_repository(hub, run):
    write_run(run / "refit", b"of all labels")
    for _ in range(2):
        done = push(run, "ada/tickets", "--revision", "all", "--json", endpoint=hub.url)
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["url"] == f"{hub.url}/ada/tickets/tree/all"
    assert hub.branches == ["all", "all"]
    assert hub.commits["ada/tickets@all"]["model.safetensors"] == b"of all labels"


def test_an_unfinished_run_is_refused_before_the_hub_is_asked(hub, run, tmp_path):
    write_run(run / "refit")
    (run / "refit" / "result.json").unlink()
    done = push(run, "ada/tickets", endpoint=hub.url)
    assert done.returncode == 2 and f"{run / 'refit'} is not finished" in done.stderr
    (run / "result.json").unlink()
    assert f"{run} is not finished" in push(run, "ada/tickets", endpoint=hub.url).stderr
    assert "is not a run directory" in push(tmp_path, "ada/tickets", endpoint=hub.url).stderr
    (run / "config.json").write_text(json.dumps({"method": "pretrain", MARKER: FORMAT}))
    assert "pretraining run" in push(run, "ada/tickets", endpoint=hub.url).stderr
    assert not hub.created


@pytest.mark.parametrize(
    ("code", "at", "words"),
    [
        (401, "create", "hf auth login"),
        (403, "create", "right to write"),
        (404, "create", "no such repository, user or organization"),
        (403, "commit", "right to write"),
        (403, "batch", "right to write"),
    ],
)
def test_a_refusal_of_the_hub_is_one_line(hub, run, code, at, words):
    hub.refuse_with, hub.refuse_at = code, at
    done = push(run, "ada/tickets", endpoint=hub.url)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: ") and f"({code})" in line and words in line


def test_without_a_token_a_network_or_a_valid_name(run, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    home = {"HF_HOME": str(tmp_path / "home")}
    assert "no token" in push(run, "ada/tickets", endpoint=nobody, token=None, **home).stderr
    started = time.monotonic()
    done = push(run, "ada/tickets", endpoint=nobody)
    assert done.returncode == 2 and f"{nobody} does not answer" in done.stderr
    assert time.monotonic() - started < 20, "it says so within seconds"
    assert "cannot name a repository" in push(run, "a b//c", endpoint=nobody).stderr
    assert "HF_HUB_OFFLINE" in push(run, "ada/tickets", endpoint=nobody, HF_HUB_OFFLINE="1").stderr
