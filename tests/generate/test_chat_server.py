"""Faults of a server: what passes is waited for, what stays is of the text or of the server. No test waits."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from chat_stub import Answer, Stub, completion, fails, says, serving

from text_uda.errors import SettingsError
from text_uda.generate.chat_server import KEY, OPENAI_KEY, SLOW_TRIES, TRIES, ChatServer, Stopped, address_of, key_for
from text_uda.generate.request import Reply, Request, Usage

REQUEST = Request("rewrite this", seed=3, max_tokens=50)
GOOD = says("rewritten")


def client(stub: Stub, **given: object) -> ChatServer:
    options = {"temperature": 0.8, "top_p": None, "timeout_s": 300.0, "usage": Usage()} | given
    return ChatServer(stub.url, "stub", **options)  # pyright: ignore[reportArgumentType]


def first_then(fault: Answer, *others: Answer) -> Callable[[str, int], Answer]:
    answers = [fault, *others]
    return lambda _prompt, before: answers[min(before, len(answers) - 1)]


def always(fault: Answer) -> Callable[[str, int], Answer]:
    """This text fails; the probe, another text, is answered."""
    return lambda prompt, _: fault if prompt == REQUEST.prompt else says("yes")


def test_a_reply_has_the_text_and_its_tokens(pauses: list[float]) -> None:
    with serving(first_then(says("rewritten", tokens=9))) as stub:
        server = client(stub, top_p=0.9)
        assert server(REQUEST) == Reply("rewritten", "ok", 10, 9)
    assert stub.bodies == [
        {
            "model": "stub",
            "messages": [{"role": "user", "content": "rewrite this"}],
            "temperature": 0.8,
            "top_p": 0.9,
            "max_tokens": 50,
            "seed": 3,
            "stream": False,
        }
    ]
    assert (server.usage.replies, server.usage.prompt_tokens, server.usage.generated_tokens) == (1, 10, 9)
    assert server.usage.served_models == {"stub"} and pauses == []


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (says("half of", finish="length"), "truncated"),
        (says("", finish="content_filter"), "refused"),
        (says(None, finish="content_filter"), "refused"),
        (says(None, refusal="I cannot do that"), "refused"),
        (says(None), "ok"),  # an empty text, which gets the status empty
    ],
)
def test_the_server_says_how_a_reply_ended(pauses: list[float], answer: Answer, status: str) -> None:
    with serving(first_then(answer)) as stub:
        assert client(stub)(REQUEST).status == status
    assert stub.prompts.total() == 1


PASSING = {
    "500": fails(500, "oops"),
    "502 of a gateway": Answer(b"<html>Bad Gateway</html>", 502),
    "503 while it loads": fails(503, "loading model"),
    "408": fails(408),
    "closed before the reply": Answer(cut_after=-1),
    "cut in the middle": Answer(completion("rewritten"), cut_after=30),
    "cut, without a length": Answer(chunks=lambda: iter([completion("rewritten")[:40]])),
    "nonsense": Answer(b"\xff\xfenonsense"),
    "not JSON": Answer(b"<html>welcome</html>"),
    "nested": Answer(b"[" * 100_000),
    "a list": Answer(b"[1, 2]"),
    "a number": Answer(b"12"),
    "null": Answer(b"null"),
    "no choices": Answer(b'{"choices": []}'),
    "choices of a wrong type": Answer(b'{"choices": {"0": 1}}'),
    "no message": Answer(b'{"choices": [{"message": "hi"}]}'),
    "content is a number": says(17),
    "content is a list": says([{"type": "text", "text": "hi"}]),
    "an error in a 200": Answer(b'{"error": {"message": "no"}}'),
}
MALFORMED = list(PASSING)[list(PASSING).index("cut, without a length") :]


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_passes_is_asked_again_after_a_pause(pauses: list[float], name: str) -> None:
    with serving(first_then(PASSING[name], PASSING[name], GOOD)) as stub:
        assert client(stub)(REQUEST).text == "rewritten"
    assert stub.prompts.total() == 3 and pauses == [1.0, 2.0]


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_of_one_text_is_its_status(pauses: list[float], name: str) -> None:
    with serving(always(PASSING[name])) as stub:
        assert client(stub)(REQUEST) == Reply(status="malformed" if name in MALFORMED else "no-answer")
    assert stub.prompts[REQUEST.prompt] == TRIES + 1 and stub.prompts.total() == TRIES + 2  # with the probe
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_of_all_texts_ends_the_call(pauses: list[float], name: str) -> None:
    with serving(first_then(PASSING[name])) as stub, pytest.raises(SettingsError, match=r"answers no request.*is kept"):
        client(stub)(REQUEST)


@pytest.mark.parametrize("status", [400, 403, 413, 422])
def test_a_text_that_the_server_does_not_take_is_not_asked_again(pauses: list[float], status: int) -> None:
    with serving(always(fails(status, "maximum context length is 512 tokens"))) as stub:
        assert client(stub)(REQUEST).status == "invalid-request"
    assert stub.prompts[REQUEST.prompt] == 1 and pauses == []
    with (
        serving(first_then(fails(status, "temperature: not supported"))) as stub,
        pytest.raises(SettingsError, match=f"HTTP {status}: temperature: not supported"),
    ):
        client(stub)(REQUEST)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (fails(401, "bad key"), f"refuses the key.*no key was sent; set {KEY}"),
        (fails(402, "no credit"), "no credit"),
        (fails(404, "model not found"), "no model 'stub'.*model not found"),
        (fails(405), "no chat completions"),
        (Answer(status=301, headers={"Location": "http://elsewhere/v1?token=abc"}), r"redirects to http.*token=\*\*\*"),
        (fails(429, "pay", code="insufficient_quota"), "no quota left"),
        (fails(429, "slow", Retry_After="86400"), "asks to wait 86,400 s"),
        (fails(429, "slow", Retry_After="601"), "asks to wait 601 s"),
    ],
)
def test_what_no_retry_can_mend_ends_the_call_at_once(pauses: list[float], answer: Answer, words: str) -> None:
    with serving(first_then(answer)) as stub, pytest.raises(SettingsError, match=words):
        client(stub)(REQUEST)
    assert stub.prompts.total() == 1 and pauses == []


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry_After": "17"}, [17.0]),
        ({"Retry_After": "0.5"}, [0.5]),
        ({"Retry_After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, [30.0]),
        ({"Retry_After": "Wed, 21 Oct 2020 07:28:30 GMT"}, []),
        ({"Retry_After": "soon"}, [1.0]),
        ({"Retry_After": "-5"}, [1.0]),
        ({"Retry_After": "nan"}, [1.0]),
        ({}, [1.0]),
    ],
)
def test_a_rate_limit_is_obeyed(pauses: list[float], headers: dict[str, str], expected: list[float]) -> None:
    with serving(first_then(fails(429, "slow down", **headers), GOOD)) as stub:
        assert client(stub)(REQUEST).text == "rewritten"
    assert pauses == expected


def test_a_rate_limit_is_waited_for_more_often_than_a_fault(pauses: list[float]) -> None:
    with serving(first_then(*[fails(429)] * 20, GOOD)) as stub:
        assert client(stub)(REQUEST).text == "rewritten"
    assert pauses[:8] == [1, 2, 4, 8, 16, 32, 60, 60] and len(pauses) == 20
    with serving(first_then(fails(429))) as stub, pytest.raises(SettingsError, match="limits the rate"):
        client(stub)(REQUEST)
    assert sum(pauses[20:]) <= 3600


def test_a_rate_limit_is_no_fault_of_the_text(pauses: list[float]) -> None:
    with serving(first_then(*[fails(429)] * 6, fails(503), GOOD)) as stub:
        assert client(stub)(REQUEST).text == "rewritten"
    assert pauses == [1, 2, 4, 8, 16, 32, 1] and stub.prompts.total() == 8  # no probe
    limits = [fails(429, Retry_After="500")] * 3  # longer than timeout_s
    with serving(first_then(*limits, fails(503), *limits, fails(503), GOOD)) as stub:
        assert client(stub)(REQUEST).text == "rewritten"


def test_an_outage_that_ends_at_the_probe_is_no_fault_of_the_text(pauses: list[float]) -> None:
    def answer(prompt: str, before: int) -> Answer:
        return fails(503) if prompt == REQUEST.prompt and before < TRIES else GOOD

    with serving(answer) as stub:
        assert client(stub)(REQUEST).text == "rewritten"
    assert stub.prompts.total() == TRIES + 2


def test_a_rate_limit_on_the_probe_is_waited_for(pauses: list[float]) -> None:
    def answer(prompt: str, before: int) -> Answer:
        return fails(429) if prompt != REQUEST.prompt and before < 3 else fails(503)

    with serving(answer) as stub, pytest.raises(SettingsError, match="answers no request"):
        client(stub)(REQUEST)
    assert stub.prompts[REQUEST.prompt] == TRIES and stub.prompts.total() == TRIES + 4


def test_a_rate_limit_holds_for_all_threads(pauses: list[float]) -> None:
    with serving(first_then(fails(429, Retry_After="9"), GOOD)) as stub:
        server = client(stub)
        server(REQUEST)
        stub.answer = lambda *_: GOOD
        pauses.clear()  # the clock goes back, to before the limit ends
        server(Request("another", 0, 10))
    assert pauses == [9.0]


def test_a_slow_stream_ends_at_the_time_limit(pauses: list[float]) -> None:
    def dribble() -> Iterator[bytes]:
        for _ in range(1000):
            pauses.append(100.0)  # time goes by at the server
            yield b" "

    with serving(always(Answer(chunks=dribble))) as stub:
        assert client(stub, timeout_s=500.0)(REQUEST).status == "no-answer"
    assert stub.prompts[REQUEST.prompt] == SLOW_TRIES + 1


def test_the_limit_of_tokens_has_the_name_that_the_server_takes(pauses: list[float]) -> None:
    wrong = fails(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
    with serving(first_then(wrong, GOOD)) as stub:
        server = client(stub)
        assert server(REQUEST).text == server(REQUEST).text == "rewritten"
    names = [[name for name in body if name.startswith("max_")] for body in stub.bodies]
    assert names == [["max_tokens"], ["max_completion_tokens"], ["max_completion_tokens"]] and sum(pauses) == 0


def test_concurrent_requests_learn_the_name_of_the_limit(pauses: list[float]) -> None:
    together = threading.Barrier(4, timeout=60)

    def answer(prompt: str, _: int) -> Answer:
        if "max_tokens" not in next(body for body in stub.bodies[::-1] if body["messages"][0]["content"] == prompt):
            return GOOD
        together.wait()  # all four are sent by the old name
        return fails(400, "Use 'max_completion_tokens' instead.")

    with serving(answer) as stub, ThreadPoolExecutor(4) as pool:
        requests = [Request(f"text {number}", seed=0, max_tokens=9) for number in range(4)]
        assert [reply.status for reply in pool.map(client(stub), requests)] == ["ok"] * 4
    assert stub.prompts.total() == 8 and pauses == []


def test_a_reply_is_bounded(pauses: list[float]) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b" " * (1 << 16)

    with serving(always(Answer(chunks=endless))) as stub:
        assert client(stub)(REQUEST).status == "malformed"


@pytest.mark.parametrize("tokens", [-1, 2.5, "many", None, True, 1 << 70])
def test_nonsense_in_usage_counts_nothing(pauses: list[float], tokens: object) -> None:
    with serving(first_then(says("rewritten", tokens=tokens))) as stub:
        assert client(stub)(REQUEST).generated_tokens == 0


def test_no_server_is_an_error_at_once(pauses: list[float]) -> None:
    with serving(first_then(GOOD)) as stub:
        pass
    with pytest.raises(SettingsError, match=r"no server answers at.*start it, or correct --llm-url"):
        client(stub)(REQUEST)
    assert pauses == []


def test_a_server_that_goes_away_is_waited_for(pauses: list[float]) -> None:
    with serving(first_then(GOOD)) as stub:
        server = client(stub)
        server(REQUEST)
    with pytest.raises(SettingsError, match=r"answers no request.*what is finished is kept"):
        server(REQUEST)
    assert len(pauses) == TRIES - 1


def test_a_call_that_ends_asks_nothing_more(pauses: list[float]) -> None:
    with serving(first_then(GOOD)) as stub:
        server = client(stub, stop=threading.Event())
        server.stop.set()
        with pytest.raises(Stopped):
            server(REQUEST)
    assert stub.prompts.total() == 0


def test_the_key_is_sent_and_never_shown(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "s3cret-key-0123")
    echo = fails(400, "your key s3cret-key-0123 is Authorization: Bearer s3cret-key-0123")
    with serving(first_then(GOOD)) as stub:
        server = client(stub)
        server(REQUEST)
        stub.answer = lambda *_: echo
        assert stub.headers[0]["Authorization"] == "Bearer s3cret-key-0123"
        with pytest.raises(SettingsError) as caught:
            server(REQUEST)
    assert "s3cret" not in str(caught.value) and "***" in str(caught.value)
    assert "s3cret" not in json.dumps(stub.bodies) and "s3cret" not in repr(server)


def test_the_key_of_openai_goes_to_openai_alone(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPENAI_KEY, "sk-abc")
    assert key_for("https://api.openai.com/v1/chat/completions") == "sk-abc"
    assert key_for("https://api.openai.com:443/v1") == "sk-abc"
    assert key_for("https://api.openai.com.example.org/v1") is None
    assert key_for("http://api.openai.com/v1") is None  # unencrypted
    assert key_for("https://api.openai.com:8443/v1") is None
    assert key_for("http://localhost:8000/v1") is None
    monkeypatch.setenv(KEY, "mine")
    assert key_for("https://api.openai.com/v1/chat/completions") == "mine"
    monkeypatch.setenv(KEY, "mine\r\nX-Header: 1")
    with pytest.raises(SettingsError, match="set it again") as caught:
        key_for("http://localhost:8000/v1")
    assert "mine" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "warned"), [("http://host/v1", True), ("https://host/v1", False), ("http://[::1]/v1", False)]
)
def test_a_key_without_encryption_is_warned_of(
    url: str, warned: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(KEY, "s3cret")
    ChatServer(url, "stub", temperature=0.8, top_p=None, timeout_s=5.0, usage=Usage())
    assert ("unencrypted" in caplog.text) == warned and "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1/chat/completions"),
        ("http://localhost:8000/", "http://localhost:8000/v1/chat/completions"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1/chat/completions"),
        ("https://host/api/v1/chat/completions", "https://host/api/v1/chat/completions"),
        ("https://host/openai/v1?api-version=1", "https://host/openai/v1/chat/completions?api-version=1"),
        ("http://[::1]:80", "http://[::1]:80/v1/chat/completions"),
    ],
)
def test_an_address_is_completed(url: str, address: str) -> None:
    assert address_of(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "ftp://host",
        "http://",
        "file:///etc/passwd",
        "http://host:port",
        "http://a b/",
        "http://[1",
    ],
)
def test_no_address_is_an_error(url: str) -> None:
    with pytest.raises(SettingsError, match="such as http://localhost:8000/v1"):
        address_of(url)


@pytest.mark.parametrize(
    "url", ["https://me:hunter2@host/v1", "https://hunter2@host/v1", "https://host/v1?api_key=hunter2"]
)
def test_a_key_in_the_address_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match=f"set {KEY}") as caught:
        address_of(url)
    assert "hunter2" not in str(caught.value)
