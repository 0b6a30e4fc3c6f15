"""What a language model is asked, and what it replies."""

import threading
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    prompt: str
    seed: int
    """Of the sampling, below 2^31, which every server can read."""
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Reply:
    text: str = ""
    status: str = "ok"
    """`ok`, `truncated` at max_tokens, `refused`, or why a server gave none: `no-answer` (an error of the server, a cut
    connection, too slow), `malformed` (no chat completion), `invalid-request` (it does not take this prompt)."""
    prompt_tokens: int = 0
    generated_tokens: int = 0


@dataclass
class Usage:
    """What the replies of a process cost so far."""

    replies: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    served_models: set[str] = field(default_factory=set)
    """The names under which a server answered, which need not be the one that was asked for."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, reply: Reply, served_model: str | None = None) -> None:
        with self._lock:
            self.replies += 1
            self.prompt_tokens += reply.prompt_tokens
            self.generated_tokens += reply.generated_tokens
            if served_model and len(self.served_models) < 10:
                self.served_models.add(served_model)
