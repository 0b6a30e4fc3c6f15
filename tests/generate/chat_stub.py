"""A small server on loopback that answers chat completions as a test tells it, faults included, and counts them."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import Request, urlopen


def completion(text: Any, *, finish: str = "stop", model: str = "stub", tokens: Any = 7, **message: Any) -> bytes:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    usage = {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": 17}
    return json.dumps({"object": "chat.completion", "model": model, "choices": [choice], "usage": usage}).encode()


@dataclass
class Answer:
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """Bytes of the body after which the connection is closed, though Content-Length says more; -1 sends nothing."""
    chunks: Callable[[], Iterator[bytes]] | None = None
    """In place of the body, without a length: a slow stream."""


def says(text: Any, **options: Any) -> Answer:
    return Answer(completion(text, **options))


def fails(status: int, message: str = "", *, code: str | None = None, **headers: str) -> Answer:
    body = json.dumps({"error": {"message": message, "code": code}}).encode()
    return Answer(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


class Stub:
    """Answers by `answer(prompt, number of this prompt's requests before)`."""

    def __init__(self, answer: Callable[[str, int], Answer]) -> None:
        self.answer = answer
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.prompts: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.url = ""
        self.upstream: str | None = None
        """A real server that answers in place of `answer`, through this one, which counts."""

    def take(self, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        prompt = body["messages"][0]["content"]
        with self.lock:
            before = self.prompts[prompt]
            self.prompts[prompt] += 1
            self.bodies.append(body)
            self.headers.append(headers)
        if self.upstream is None:
            return self.answer(prompt, before)
        content = {"Content-Type": "application/json"}
        with urlopen(Request(f"{self.upstream}/chat/completions", json.dumps(body).encode(), content)) as response:
            return Answer(response.read(), response.status)


@contextmanager
def serving(answer: Callable[[str, int], Answer]) -> Iterator[Stub]:
    stub = Stub(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != "/v1/chat/completions":
                self.send_error(404)
                return
            reply = stub.take(body, dict(self.headers))
            try:
                self._send(reply)
            except OSError:  # the client has left
                self.close_connection = True

        def _send(self, reply: Answer) -> None:
            self.close_connection = True
            if reply.cut_after == -1:
                return
            if "Date" in reply.headers:
                self.send_response_only(reply.status)
            else:
                self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.chunks is not None:
                self.end_headers()
                for chunk in reply.chunks():
                    self.wfile.write(chunk)
                    self.wfile.flush()
                return
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body[: reply.cut_after])

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
