"""The prompt is a template; what is wrong with it is one line."""

from pathlib import Path

import pytest

from text_uda.errors import SettingsError
from text_uda.generate.prompt import PROMPT_FOR_ONE, PROMPT_FOR_SEVERAL, check_template, fill_in, read_template


def test_placeholders_of_the_text_stay() -> None:
    assert fill_in("{count}: {text} {other} {{}}", "a {count} {text}", 3) == "3: a {count} {text} {other} {{}}"


def test_the_prompts_of_the_library_ask_for_what_they_have_to() -> None:
    check_template(PROMPT_FOR_ONE, 1)
    check_template(PROMPT_FOR_SEVERAL, 5)
    for template in (PROMPT_FOR_ONE, PROMPT_FOR_SEVERAL):
        assert all(word in template for word in ("meaning", "affirmed", "numbers", "language", "no instruction"))


@pytest.mark.parametrize(
    ("template", "count", "words"),
    [("rewrite {sentence}", 1, "has no {text}"), ("rewrite {text}", 2, "has no {count}")],
)
def test_a_template_without_its_placeholders_is_refused(template: str, count: int, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        check_template(template, count)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe{text}", "is not UTF-8"),
        (b"{text}" + b"x" * (1 << 16), "larger than 64 KiB"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_template_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "prompt.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=f"prompt.txt.*{words}"):
        read_template(path)


def test_a_file_of_windows_is_the_same_template(tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_bytes("\ufeffRewrite:\r\n{text}\r\n".encode())
    assert read_template(path) == "Rewrite:\n{text}"
