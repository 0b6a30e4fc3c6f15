"""Language: a paraphrase in another one is told from the two texts; what is short, mixed or a dialect is let pass."""

import subprocess
import sys

import pytest

from text_uda.text.language import in_other_language

EN = "The film is very well made, and all of us liked it a lot."
ES = "La película está muy bien hecha y nos gustó mucho a todos."
DE = "Der Film ist sehr gut gemacht und hat uns allen gefallen."


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (EN, ES),
        (ES, EN),
        (DE, EN),
        (EN, "The film is very well made, y nos gustó mucho a todos."),
        (EN, "La película está muy bien hecha, and all of us liked it a lot."),
        (EN, EN + " " + DE + " " + ES),
        (EN, "Фильм снят очень хорошо."),
        (EN, "这部电影拍得很好。"),
        ("Хорошо", "Horosho"),
        ("今日は映画を見ました。", "Today we saw a film."),
    ],
)
def test_another_language(source: str, text: str):
    assert in_other_language(source, text)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (EN, EN),
        (EN, EN.upper()),
        (EN, "It is a movie of great quality that everybody enjoyed."),
        (DE, "Das ist ein guter Streifen, an dem jeder seine Freude hatte."),
        (EN, "Déjà vu!"),
        ("Bon appétit!", "Enjoy!"),
        ("No más", EN),
        (EN, ""),
        ("", EN),
        (EN, "1999 ... 😀"),
        (EN, "The film “Дурак” is very well made, and all of us liked it a lot."),
        (EN, "There's an energy to Y Tu Mamá También."),
        (EN, f"{EN} {EN} La película está muy bien hecha."),
        (EN, "qwertz uiop asdf ghjkl yxcv bnm bcdfgh jklmnp"),
        ("iPhone很好", "iPhone真的真的非常非常好用"),
        ("すばらしいです。", "最高傑作"),
        ("Film je vrlo dobar i glumci su odlični, preporučujem svima.", "Ovaj film je sjajan, gledajte ga što prije."),
        (
            "Saya fikir kereta itu boleh dibeli di kedai pada hari Ahad kerana harganya murah.",
            "Saya pikir mobil itu bisa dibeli di toko pada hari Minggu karena harganya murah.",
        ),
        ("xkcd qwrt zzzz " * 5, "brrr hmpf tsk " * 5),
    ],
)
def test_not_another_language(source: str, text: str):
    assert not in_other_language(source, text)


def test_the_model_is_ours_and_loaded_when_it_is_needed():
    """Others may restrict the languages of the module's own model; nothing is loaded for words that are shared."""
    code = f"""
import sys
from text_uda.text.language import in_other_language
in_other_language({EN!r}, {EN!r} + " Yes.")
assert "py3langid" not in sys.modules
import py3langid
py3langid.set_languages(["fr"])
assert in_other_language({EN!r}, {ES!r})
assert py3langid.classify({EN!r})[0] == "fr"
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
