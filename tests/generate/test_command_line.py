"""`text-uda paraphrase --method llm`: its options, what it says at the end, and its errors in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from chat_stub import Answer, fails, says, serving
from click.testing import CliRunner, Result

from text_uda.cli import main

TEXTS = ["The film was good.", "The plot is not dull.", "I saw 3 of them."]


def rewritten(prompt: str, _: int) -> Answer:
    text = prompt.rpartition("<text>")[2].partition("</text>")[0]
    return says(text.replace("film", "movie").replace("plot", "story").replace("saw", "watched"), tokens=11)


@pytest.fixture
def fill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TEXT_UDA_LLM_KEY", raising=False)
    Path("texts.txt").write_text("\n".join(TEXTS), "utf-8")

    def call(*words: object) -> Result:
        given = ["paraphrase", "texts.txt", "--method", "llm", "--cache", "cache", *words]
        return CliRunner().invoke(main, [str(word) for word in given])

    return call


def test_it_fills_the_cache_and_says_what_it_cost(fill: Callable[..., Result]) -> None:
    with serving(rewritten) as stub:
        words = ("--model", "stub", "--llm-url", stub.url)
        first = fill(*words)
        assert first.exit_code == 0, first.output
        assert "computed 3 in" in first.stdout and "rejected: none" in first.stdout
        assert "stub gave 3 replies in this process: 33 tokens generated, 30 tokens of prompts read" in first.stdout
        assert "a server does not promise the same reply" in first.stderr and "answers as" not in first.stderr
        record = json.loads(fill(*words, "--json").stdout)
        assert (record["present"], record["made"], record["replies"], record["generated_tokens"]) == (3, 0, 0, 0)
        assert stub.prompts.total() == 3


def test_another_model_than_the_one_asked_for_is_told(fill: Callable[..., Result]) -> None:
    with serving(rewritten) as stub:
        result = fill("--model", "qwen", "--llm-url", stub.url)
    assert "the server answers as stub, not as qwen: make sure it is that model" in result.stderr


def test_a_preview_is_kept(fill: Callable[..., Result]) -> None:
    with serving(rewritten) as stub:
        result = fill("--model", "stub", "--llm-url", stub.url, "--preview", 2)
        assert "[-film-]{+movie+}" in result.stdout and "already in the cache 2, computed 1" in result.stdout
        assert stub.prompts.total() == 3


def test_a_preview_makes_all_that_its_requests_ask_for(fill: Callable[..., Result]) -> None:
    lines = "\n".join(f"{number}. One of {number}." for number in (1, 2, 3))
    with serving(lambda *_: says(lines)) as stub:
        words = ("--model", "stub", "--llm-url", stub.url, "--llm-per-request", 3, "--retries", 0)
        result = fill(*words, "--samples", 2, "--preview", 2)
        assert result.exit_code == 0 and "does not keep 1; more samples later send it again" in result.stderr
        assert stub.prompts.total() == 3
        assert "does not keep" not in fill(*words, "--samples", 3).stderr
        assert stub.prompts.total() == 4  # the text without a preview


def test_workers_count_their_replies_where_the_command_does_not_see_them(fill: Callable[..., Result]) -> None:
    with serving(rewritten) as stub:
        words = ("--model", "stub", "--llm-url", stub.url, "--workers", 2)
        record = json.loads(fill(*words, "--json").stdout)
    assert record["made"] == 3 and "replies" not in record and "generated_tokens" not in record


def test_the_options_reach_the_model(fill: Callable[..., Result]) -> None:
    Path("prompt.txt").write_text("Give {count}: <text>{text}</text>\n", "utf-8")
    options = {"sampling-temperature": 0.5, "top-p": 0.9, "llm-max-tokens": 77, "retries": 0, "llm-concurrency": 1}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    lines = "\n".join(f"{number}. One of {number}." for number in (1, 2))
    with serving(lambda *_: says(lines)) as stub:
        several = ("--llm-per-request", 2, "--samples", 2, "--llm-prompt", "prompt.txt", "--llm-timeout", 30)
        assert fill("--llm-model", "stub", "--llm-url", stub.url, *words, *several).exit_code == 0
    body = stub.bodies[0]
    assert (body["temperature"], body["top_p"], body["max_tokens"], body["model"]) == (0.5, 0.9, 77, "stub")
    assert {body["messages"][0]["content"] for body in stub.bodies} == {
        f"Give 2: <text>{text}</text>" for text in TEXTS
    }


def test_training_reads_the_rows_by_the_same_options(fill: Callable[..., Result]) -> None:
    from text_uda.cli.augmentation_choice import AugmentationChoice

    with serving(rewritten) as stub:
        fill("--model", "stub", "--llm-url", stub.url, "--llm-concurrency", 3)
    choice = AugmentationChoice(method="llm", llm_model="stub", llm_url="http://elsewhere/v1")
    job = choice.build(encoder="", texts=tuple, cache="cache")
    assert job is not None
    from text_uda import read_paraphrases

    assert [sample.status for (sample,) in read_paraphrases(TEXTS, job, "cache")] == ["ok"] * 3
    option = {option.name: option for option in main.commands["train"].params}
    assert "llm_model" in option and "--model" not in option["llm_model"].opts  # there it is the encoder
    assert "llm_concurrency" not in option


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give --model NAME"),
        (("--model", "stub", "--llm-url", "localhost:1"), "such as http://localhost:8000/v1"),
        (("--model", "stub", "--llm-url", "http://me:hunter2@host/v1"), "set TEXT_UDA_LLM_KEY"),
        (("--model", "stub", "--llm-url", "http://127.0.0.1:9/v1"), "no server answers at"),
        (("--model", "./nowhere"), "there is no folder ./nowhere"),
        (("--model", "stub", "--llm-prompt", "texts.txt"), "has no {text}"),
        (("--model", "stub", "--rate", 0.1), "--rate belongs to"),
        (("--model", "stub", "--operation", "llm"), "is not one of"),
    ],
)
def test_an_error_is_one_line(fill: Callable[..., Result], words: tuple[object, ...], said: str) -> None:
    result = fill(*words)
    assert result.exit_code == 2 and said in result.stderr and "hunter2" not in result.output
    assert [line for line in result.stderr.splitlines() if not line.startswith("llm: 0/3")][1:] == []


def test_a_model_given_to_another_method_names_the_encoder(fill: Callable[..., Result]) -> None:
    words = ["paraphrase", "texts.txt", "--method", "switchout", "--model", "minilm-l6", "--cache", "c"]
    assert "--encoder names an encoder" in CliRunner().invoke(main, words).stderr


def test_a_refused_key_says_which_variable_and_not_its_value(
    fill: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEXT_UDA_LLM_KEY", "s3cret-key")
    with serving(lambda *_: fails(401, "s3cret-key is wrong")) as stub:
        result = fill("--model", "stub", "--llm-url", stub.url)
    assert result.exit_code == 2 and "refuses the key" in result.stderr and "a key was sent" in result.stderr
    assert "s3cret" not in result.output
    assert all(b"s3cret" not in file.read_bytes() for file in Path("cache").rglob("*") if file.is_file())
