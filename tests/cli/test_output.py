"""What reaches a terminal."""

import json

import pytest

from text_uda.cli.output import emit_json, marked, printable


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain, naïve, 日本語, 🙂", "plain, naïve, 日本語, 🙂"),
        ("two\nlines\tand\ra return", r"two\nlines\tand\ra return"),
        ("\x1b[31mred\x1b[0m \x07", r"\x1b[31mred\x1b[0m \x07"),
        ("\x9b31m", r"\x9b31m"),
        ("evil\u202etxt.exe", r"evil\u202etxt.exe"),
        ("nul\x00", r"nul\x00"),
        ("lone \ud800", r"lone \ud800"),
        ("no\xa0break", "no\xa0break"),
        ("line\u2028separator", r"line\u2028separator"),
    ],
)
def test_no_character_of_a_text_can_steer_the_terminal(text, safe):
    assert printable(text) == safe


def test_a_long_text_is_cut():
    assert printable("a" * 100, 10) == "a" * 9 + "…"


def test_changed_words_are_marked():
    assert marked("a good film", "a fine film", colour=False) == "a [-good-]{+fine+} film"
    assert marked("a good film", "a fine film", colour=True) == "a \x1b[9mgood\x1b[0m\x1b[1mfine\x1b[0m film"
    assert "\x1b" not in marked("a \x1b[2J film", "a fine film", colour=False)


def test_json_is_one_line_of_ascii(capsys):
    emit_json({"text": "é\u202e\n"})
    line = capsys.readouterr().out
    assert line.isascii() and line.count("\n") == 1 and json.loads(line) == {"text": "é\u202e\n"}
