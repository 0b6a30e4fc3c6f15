"""Back-translation: what is rejected and why, and Apertium's for real."""

import pytest

from text_uda.augment import BackTranslation
from text_uda.augment.back_translation import DRAWS_PER_ATTEMPT, match_case
from text_uda.errors import SettingsError
from text_uda.keyed_random import keyed_generator
from text_uda.translate import Translation
from text_uda.translate.apertium import MODES

installed = pytest.mark.skipif(not (MODES / "eng-spa.mode").exists(), reason="needs Debian's apertium-eng-spa")


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("a film", "A movie", "a movie"),
        ("A film", "a movie", "A movie"),
        ("'a film'", "'A movie'", "'a movie'"),
        ("it is mine", "I own it", "I own it"),
        ("the spy", "CIA man", "CIA man"),
        ("3 films", "3 Movies", "3 movies"),
        ("frankly I'm tired of it", "I'm frankly tired of it", "I'm frankly tired of it"),
        ("in Paris it rains", "Paris is where it rains", "Paris is where it rains"),
        ("“这部” Movie is good", "This movie is good", "This movie is good"),
        ("", "Movie", "Movie"),
        ("film", "", ""),
    ],
)
def test_the_first_letter_is_as_in_the_source(source: str, text: str, expected: str):
    assert match_case(source, text) == expected


class Fake:
    """A translator of which a function says what it makes of (sentence, draw)."""

    block = 2

    def __init__(self, make, draws=None):
        self.make, self.draws, self.asked = make, draws, []

    def settings(self):
        return {"engine": "fake"}

    def __call__(self, sentences, draws):
        self.asked += zip(sentences, draws, strict=True)
        return [self.make(sentence, draw) for sentence, draw in zip(sentences, draws, strict=True)]


def with_ways(*ways: tuple[Fake, Fake], **options) -> BackTranslation:
    made = BackTranslation(translator="marian:a,b", temperature=0.9, **options)
    made.__dict__["_round_trips"] = ways
    return made


def there() -> Fake:
    return Fake(lambda sentence, draw: Translation(f"pivot of {sentence}", scores={"log_probability": -0.5}))


def words(draw: int) -> str:
    return "abcdefghijklmnop"[draw % 16] + "quux"


def test_a_rejected_sample_is_drawn_again():
    back = Fake(lambda text, draw: Translation("" if draw < DRAWS_PER_ATTEMPT else f"one fine {words(draw)}"))
    made = with_ways((there(), back))(["a good film"], [0])[0]
    assert (made.text, made.status, made.scores["retries"]) == ("one fine aquux", "ok", 1)
    assert [draw for _, draw in back.asked] == [0, DRAWS_PER_ATTEMPT]
    never = Fake(lambda text, draw: Translation("", "failed"))
    made = with_ways((there(), never), retries=3)(["a good film"], [0])[0]
    assert (made.text, made.status, len(never.asked)) == (None, "failed", 4)


def test_samples_differ_and_a_lack_of_them_is_told():
    few = Fake(lambda text, draw: Translation(f"one fine {words(draw % 2)}"))  # there are two of them
    made = with_ways((there(), few))(["a good film"] * 4, [0, 1, 2, 3])
    assert [each.status for each in made] == ["ok", "ok", "duplicate", "duplicate"]
    assert len({each.text for each in made[:2]}) == 2


def test_a_sample_is_the_same_alone_and_with_others():
    def make(text: str, draw: int) -> Translation:
        number = int(keyed_generator(text, draw).integers(5))
        return Translation("" if number == 0 else f"one fine {words(number)}")

    sources = [f"a good film of {word}" for word in "north south east west".split()]
    together = with_ways((there(), Fake(make)))([s for s in sources for _ in range(4)], [0, 1, 2, 3] * 4)
    assert {each.status for each in together} >= {"ok"}
    for row, made in enumerate(together):
        assert with_ways((there(), Fake(make)))([sources[row // 4]], [row % 4]) == [made]


def test_pivots_take_turns():
    def to(language: str) -> tuple[Fake, Fake]:
        one = Fake(lambda sentence, draw: Translation(f"{language} {draw}"), draws=1)
        return one, Fake(lambda text, draw: Translation(f"one fine {text} thing"), draws=1)

    several = with_ways(to("german"), to("russian"))
    assert several.max_samples == 2
    made = several(["a good film"] * 2, [0, 1])
    assert [each.pivot for each in made] == ["german 0", "russian 0"]


def test_what_is_cut_on_its_way_there_is_not_sent_back():
    cut = Fake(lambda sentence, draw: Translation("un film", "truncated"), draws=1)
    back = there()
    made = with_ways((cut, back), retries=0)(["a good film"], [0])[0]
    assert (made.text, made.status, made.pivot, back.asked) == (None, "truncated", "un film", [])


def test_scores_of_both_ways():
    back = Fake(lambda text, draw: Translation("a fine film", scores={"log_probability": -0.25}))
    made = with_ways((there(), back))(["a good film"], [0])[0]
    assert made.scores["log_probability_there"] == -0.5 and made.scores["log_probability_back"] == -0.25
    assert made.scores["change_rate"] == pytest.approx(1 / 3) and made.scores["length_ratio"] == 1.0


SPANS = "see https://x.org/a?b=c for {name}, my good film 🙂"


def test_protected_spans_survive():
    way = Fake(lambda text, draw: Translation(text.replace("good", "fine")))
    made = with_ways((way, way))([SPANS, "Zorro is a good film"], [0, 0])
    assert made[0].text == SPANS.replace("good", "fine") and made[0].status == "ok"
    assert not any("https" in text or "{" in text for text, _ in way.asked)
    named = with_ways((way, way), protect=("Zorro",))(["Zorro is a good film"], [0])[0]
    assert named.text == "Zorro is a fine film" and "Zorro" not in way.asked[-1][0]
    assert with_ways((way, way), protect=("Zorro",)).settings() != with_ways((way, way)).settings()


def test_a_protected_span_that_is_lost():
    lost = Fake(lambda text, draw: Translation("my fine film, or something like that one, see it"))
    made = with_ways((there(), lost), retries=0)([SPANS], [0])[0]
    assert made.status == "protected"


def test_a_protected_span_that_only_the_way_back_has():
    """A sampled model loses the stand-in on the way there, and invents one on the way back."""
    invented = Fake(lambda text, draw: Translation("XQ1 is a fine film"))
    made = with_ways((Fake(lambda text, draw: Translation("a film")), invented), retries=0, protect=("Zorro",))
    assert made(["Zorro is a good film"], [0])[0].status == "protected"


def test_where_nothing_is_left_nothing_is_asked():
    way = there()
    made = with_ways((way, way))(["https://x.org 🙂"], [0])[0]
    assert (made.text, made.status, way.asked) == (None, "unchanged", [])


@installed
def test_apertium_there_and_back():
    texts = ["The house is big.", "I have never seen such a beautiful garden!", "Zzyzx."]
    made = BackTranslation()(texts, [0] * 3)
    assert [each.status for each in made][::2] == ["unchanged", "unchanged"]
    assert made[1].status == "ok" and made[1].pivot and "jardín" in made[1].pivot
    assert BackTranslation()(texts[::-1], [0] * 3)[::-1] == made


@installed
def test_settings_name_everything_that_decides():
    settings = BackTranslation().settings()
    assert settings["there"]["direction"] == "eng-spa" and settings["back"]["release"]
    assert "seed" not in settings, "a seed that changes nothing would make two caches of one"
    assert settings["unit"] == "sentence"


@pytest.mark.parametrize(
    "wrong",
    [
        {"translator": "apertium"},
        {"temperature": 0.9},
        {"translator": "marian:a"},
        {"retries": -1},
        {"protect": "Zorro"},
    ],
)
def test_settings_out_of_range(wrong: dict):
    with pytest.raises(SettingsError):
        BackTranslation(**wrong)
