"""What reaches a terminal."""

import json

import pytest

from text_uda.cli.output import emit_json, marked, printable, side_by_side


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
    assert marked("a good film", "a fine film") == "a [-good-]{+fine+} film"
    assert "\x1b" not in marked("a \x1b[2J film", "a fine film")


def test_side_by_side_on_a_terminal():
    shown = side_by_side("a good film \x1b[2J and more", "a fine film " + "x" * 12, width=23)
    struck, bold = "\x1b[9m{}\x1b[0m".format, "\x1b[1m{}\x1b[0m".format
    assert shown.splitlines() == [
        f"a {struck('good')}     │ a {bold('fine')}",
        "film       │ film",
        f"{struck(chr(92) + 'x1b[2J')}    │ {bold('x' * 10)}",
        f"{struck('and')} {struck('more')}   │ {bold('xx')}",
    ]


def test_json_is_one_line_of_ascii(capsys):
    emit_json({"text": "é\u202e\n"})
    line = capsys.readouterr().out
    assert line.isascii() and line.count("\n") == 1 and json.loads(line) == {"text": "é\u202e\n"}
