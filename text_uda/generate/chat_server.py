"""A server with OpenAI's interface (vLLM, llama.cpp, Ollama, `transformers serve`): one request, with its retries.

A fault that passes is waited for: a rate limit, an overloaded or restarting server, a cut connection. One that stays is
either of this text, which then has a status, or of the server, which ends the call so that no text is marked for it.
A short request of another text tells which.
"""

import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from typing import Any, NoReturn
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener
from urllib.request import Request as HttpRequest

from text_uda.errors import SettingsError
from text_uda.generate.request import Reply, Request, Usage
from translation_cache.credentials import HIDDEN, without_secrets

KEY, OPENAI_KEY = "TEXT_UDA_LLM_KEY", "OPENAI_API_KEY"
TRIES = 7  # with pauses of 1, 2, 4, ... 32 s
SLOW_TRIES = 2  # of a reply that exceeds the time limit
_MAX_BYTES = 8 << 20  # of a reply
_MAX_PAUSE_S = 600.0  # a server that asks for a longer pause ends the call
_RATE_LIMIT_PATIENCE_S = 3600.0
_PROBE = Request("Answer with one word: yes.", seed=0, max_tokens=16)
_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|\[?::1\]?", re.IGNORECASE)
KEPT = "what is finished is kept; rerun the same command to resume"

now: Callable[[], float] = time.monotonic
_log = logging.getLogger(__name__)


class Stopped(Exception):
    """The call ends, nobody waits for the reply."""


def pause(stop: threading.Event, seconds: float) -> None:
    """Wait, or raise Stopped as soon as the call ends."""
    if stop.wait(seconds):
        raise Stopped


class _Fault(Exception):
    """A request without a usable reply."""

    def __init__(
        self, status: str, reason: str, *, passes: bool = True, slow: bool = False, wait_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.status, self.passes, self.slow, self.wait_s = status, passes, slow, wait_s


class _RateLimit(_Fault):
    pass


class _RenamedLimit(Exception):
    """The server takes max_completion_tokens in place of max_tokens, from now on sent."""


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect, which would carry the key to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


def address_of(url: str) -> str:
    """The address of the chat completions, of `http://host:port`, `.../v1` or `.../v1/chat/completions`.

    Raises:
        SettingsError: it is no address, or has a password or a key in it.
    """
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError as error:
        raise SettingsError(
            f"url={url!r} is no address ({error}): give one such as http://localhost:8000/v1"
        ) from error
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s\x00-\x1f]", parts.netloc):
        raise SettingsError(f"url={url!r} is no address of a server: give one such as http://localhost:8000/v1")
    if "@" in parts.netloc or without_secrets(url) != url:
        raise SettingsError(
            f"url={url!r}: the address takes no password and no key, which others could read in it; set {KEY}"
        )
    path = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
    return urlunsplit((parts.scheme, parts.netloc, path + "/chat/completions", parts.query, ""))


def key_for(address: str) -> str | None:
    """The key from the environment; the one of OpenAI is sent to OpenAI alone, encrypted.

    Raises:
        SettingsError: it has characters that no header can have. The message does not show it.
    """
    parts = urlsplit(address)
    of_openai = (parts.scheme, parts.hostname) == ("https", "api.openai.com") and parts.port in (None, 443)
    name = OPENAI_KEY if of_openai and not os.environ.get(KEY) else KEY
    key = os.environ.get(name, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(f"{name} has characters that a key cannot have (a line break?): set it again")
    return key or None


@dataclass
class ChatServer:
    """Sends requests; several threads can call it."""

    url: str
    model: str
    temperature: float
    top_p: float | None
    timeout_s: float
    usage: Usage
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._address = address_of(self.url)
        host = urlsplit(self._address).hostname or ""
        here = _LOOPBACK.fullmatch(host) is not None
        proxies = {} if here else None  # None: those of the environment
        if not here and self._address.startswith("http:") and key_for(self._address):
            _log.warning("the key of %s goes over the network unencrypted: use https:// if you can", self.url)
        self._opener = build_opener(ProxyHandler(proxies), _NoRedirect())
        self._lock = threading.Lock()
        self._not_before = 0.0  # a rate limit holds for all threads
        self._has_answered = False
        self._limit = "max_tokens"  # of every server but OpenAI's for its newer models

    def __call__(self, request: Request) -> Reply:
        """The reply, or the status of a text that this server does not take.

        Raises:
            SettingsError: the server is not there, refuses the key or the model, or answers nothing any more.
        """
        try:
            return self._ask_patiently(request, TRIES)
        except _Fault as fault:
            try:
                self._ask_patiently(_PROBE, 1)
            except _Fault as other:
                self._give_up(f"answers no request ({fault}; to another text: {other})")
            if not fault.passes:
                return Reply(status=fault.status)
        try:  # once more, because an outage may have ended just before the probe
            return self._ask_patiently(request, 1)
        except _Fault as fault:
            return Reply(status=fault.status)

    def _ask_patiently(self, request: Request, tries: int) -> Reply:
        """The reply, after rate limits and faults that pass.

        Raises:
            _Fault: it stays for `tries` requests, not counting those that met a rate limit.
        """
        limits = faults = slow = 0
        paused_s = 0.0
        while True:
            self._respect_rate_limit()
            try:
                return self._ask(request)
            except _RenamedLimit:
                continue  # at most once, because the new name cannot raise it
            except _RateLimit as fault:
                wait_s = fault.wait_s if fault.wait_s is not None else min(60.0, 2.0**limits)
                paused_s += wait_s
                if wait_s > _MAX_PAUSE_S or paused_s > _RATE_LIMIT_PATIENCE_S:
                    self._give_up(f"limits the rate ({fault}) and asks to wait {wait_s:,.0f} s")
                limits = min(limits + 1, 6)
                with self._lock:
                    self._not_before = max(self._not_before, now() + wait_s)
            except _Fault as fault:
                faults += 1
                slow += fault.slow
                if not fault.passes or faults >= tries or slow >= SLOW_TRIES:
                    raise
                pause(self.stop, min(_MAX_PAUSE_S, fault.wait_s if fault.wait_s is not None else 2.0 ** (faults - 1)))

    def _respect_rate_limit(self) -> None:
        while True:
            with self._lock:
                wait_s = self._not_before - now()
            if wait_s <= 0:
                return
            pause(self.stop, wait_s)

    def _give_up(self, reason: str) -> NoReturn:
        raise SettingsError(f"the server {self.url} {reason}. Look at the server; {KEPT}")

    def _ask(self, request: Request) -> Reply:
        if self.stop.is_set():
            raise Stopped
        limit = self._limit  # another thread may rename it meanwhile
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": request.prompt}],
            "temperature": self.temperature,
            limit: request.max_tokens,
            "seed": request.seed,
            "stream": False,
        }
        if self.top_p is not None:
            body["top_p"] = self.top_p
        # Half of a surrogate pair in a text becomes a question mark.
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "text-uda"}
        if key := key_for(self._address):
            headers["Authorization"] = f"Bearer {key}"
        deadline = now() + self.timeout_s
        try:
            with self._opener.open(HttpRequest(self._address, content, headers), timeout=self.timeout_s) as response:
                document = _read(response, deadline)
        except HTTPError as error:
            with error:
                self._refused(error, key, limit)
        except _Fault:
            raise
        except (HTTPException, OSError, ValueError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            words = self._words(str(reason) or type(reason).__name__, key)
            if not self._has_answered and not isinstance(reason, HTTPException | TimeoutError | ConnectionResetError):
                raise SettingsError(
                    f"no server answers at {self.url} ({words}): start it, or correct --llm-url"
                ) from error
            raise _Fault("no-answer", words, slow=isinstance(reason, TimeoutError)) from error
        reply, served_model = _parsed(document, key)
        self._has_answered = True
        self.usage.add(reply, served_model)
        return reply

    def _refused(self, error: HTTPError, key: str | None, limit: str) -> NoReturn:
        """Raise what an HTTP status of 300 and more means.

        Args:
            limit: the name under which the request had its limit of tokens.
        """
        try:
            body = error.read(1 << 16)
        except (HTTPException, OSError):
            body = b""
        code, message = _message_of(body)
        words = self._words(f"HTTP {error.code}{': ' if message else ''}{message}", key)
        match error.code:
            case 429 if code == "insufficient_quota":
                self._give_up(f"has no quota left ({words})")
            case 429:
                raise _RateLimit("no-answer", words, wait_s=_retry_after(error.headers))
            case 401 | 402 | 407:
                sent = "a key was sent" if key else f"no key was sent; set {KEY} in the environment"
                raise SettingsError(f"the server {self.url} refuses the key ({words}; {sent})")
            case 404 | 405:
                raise SettingsError(
                    f"the server {self.url} has no model {self.model!r}, or no chat completions at this address "
                    f"({words}): correct --model or --llm-url"
                )
            case redirect if redirect < 400:
                target = without_secrets(self._words(error.headers.get("Location") or "elsewhere", key))
                raise SettingsError(f"the server {self.url} redirects to {target}: give that address, if you trust it")
            case 408 | 409 | 425:
                raise _Fault("no-answer", words)
            case 400 if limit == "max_tokens" and "max_completion_tokens" in message:
                self._limit = "max_completion_tokens"
                raise _RenamedLimit
            case fault if fault < 500:
                raise _Fault("invalid-request", words, passes=False)
            case _:
                raise _Fault("no-answer", words, wait_s=_retry_after(error.headers))

    @staticmethod
    def _words(message: str, key: str | None) -> str:
        """A message of the server for people: one line, without the key."""
        if key:
            message = message.replace(key, HIDDEN)
        return without_secrets(" ".join(message.split()))[:300]


def _read(response: HTTPResponse, deadline: float) -> Any:
    """The JSON of a reply, whose size and time are bounded."""
    parts, size = [], 0
    while part := response.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > _MAX_BYTES:
            raise _Fault("malformed", "the reply is larger than 8 MiB")
        if now() > deadline:
            raise _Fault("no-answer", "the reply did not end in time; --llm-timeout sets another", slow=True)
    if response.length:
        raise _Fault("no-answer", f"the connection was cut, {response.length:,} bytes before the end of the reply")
    try:
        return json.loads(b"".join(parts))
    except (ValueError, RecursionError) as error:
        raise _Fault("malformed", "the reply is not JSON") from error


def _parsed(document: Any, key: str | None) -> tuple[Reply, str | None]:
    """The reply in a chat completion, and the model that gave it."""
    try:
        choice = document["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        content, refusal = message.get("content"), message.get("refusal")
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        words = ChatServer._words(str(document), key)
        raise _Fault("malformed", f"the reply is no chat completion: {words:.80}") from error
    if content is None and (finish == "content_filter" or isinstance(refusal, str)):
        content = ""
    if content is None and isinstance(finish, str):
        content = ""
    if not isinstance(content, str):
        raise _Fault("malformed", f"the content of the reply is no text but {type(content).__name__}")
    status = "ok"
    if finish == "content_filter" or (isinstance(refusal, str) and refusal):
        status = "refused"
    elif finish == "length":
        status = "truncated"
    usage = document.get("usage")
    tokens = [_count(usage, name) for name in ("prompt_tokens", "completion_tokens")]
    served = document.get("model")
    return Reply(content, status, *tokens), served[:200] if isinstance(served, str) else None


def _count(usage: Any, name: str) -> int:
    """A number of tokens, 0 if the server does not tell it or it makes no sense."""
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and 0 <= value < 1 << 31 else 0


def _message_of(body: bytes) -> tuple[str | None, str]:
    """The code and the message of an error, in OpenAI's form, FastAPI's, or any text."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None, body.decode("utf-8", "replace")
    fault = document.get("error", document) if isinstance(document, dict) else document
    if not isinstance(fault, dict):
        return None, str(fault)
    code, message = fault.get("code"), fault.get("message", fault.get("detail", ""))
    return code if isinstance(code, str) else None, str(message)


def _retry_after(headers: Message) -> float | None:
    """The seconds that a server asks to wait, as a number or as a date; None if it does not."""
    text = (headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        return float(text)
    try:
        until = parsedate_to_datetime(text)
        sent = parsedate_to_datetime(headers.get("Date") or "")
    except (TypeError, ValueError):
        try:
            until, sent = parsedate_to_datetime(text), datetime.now(UTC)
        except (TypeError, ValueError):
            return None
    try:
        return max(0.0, (until - sent).total_seconds())
    except TypeError:  # one of them without a time zone
        return None
