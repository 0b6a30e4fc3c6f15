"""Naming a translator."""

import pytest

from text_uda.errors import MissingPartError, SettingsError
from text_uda.translate import Translator, apertium, parse
from text_uda.translate.ctranslate2 import CTranslate2
from text_uda.translate.decoding import Decoding
from text_uda.translate.marian import Marian


def test_both_ways():
    [(there, back)] = parse("apertium:eng-spa")
    assert (there.direction, back.direction) == ("eng-spa", "spa-eng")
    assert isinstance(there, Translator) and there.draws == 1
    [(there, back)] = parse("marian:a/there,b/back", temperature=0.9, top_k=10, seed=3)
    decoding = Decoding(temperature=0.9, top_k=10, seed=3)
    assert (there, back) == (Marian("a/there", decoding), Marian("b/back", decoding))
    assert isinstance(there, Translator) and there.draws is None
    [(there, _)] = parse("marian:a/there,b/back", precision="bfloat16", beams=4)
    assert there.precision == "bfloat16" and there.draws == 4


def test_ctranslate2():
    [(there, back)] = parse("ctranslate2:a/there,b/back", beams=2)
    assert (there, back) == (
        CTranslate2("a/there", Decoding(beams=2), "int8"),
        CTranslate2("b/back", Decoding(beams=2), "int8"),
    )
    [(there, _)] = parse("ctranslate2:a/there,b/back", precision="float32")
    assert there.precision == "float32" and isinstance(there, Translator)


def test_several_pivots():
    ways = parse("marian:a/there>>fr<<,b/back + marian:c/there,d/back+ctranslate2:e,f", temperature=0.8)
    assert [(there.model, back.model) for there, back in ways] == [
        ("a/there>>fr<<", "b/back"),
        ("c/there", "d/back"),
        ("e", "f"),
    ]
    assert len(parse("apertium:eng-spa+marian:a,b")) == 2


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("apertim:eng-spa", "did you mean apertium"),
        ("marain:a,b", "did you mean marian"),
        ("google", "apertium:eng-spa or marian"),
        ("apertium:english", "language pair"),
        ("apertium:eng-", "language pair"),
        ("marian:one", "the forward model and the backward model"),
        ("marian:one,", "the forward model and the backward model"),
        ("marian:one,two,three", "the forward model and the backward model"),
        ("ctranslate2:one", "such as ctranslate2:Helsinki"),
        ("", "apertium:eng-spa or marian"),
        ("apertium:eng-spa+", "apertium:eng-spa or marian"),
        ("marian:a,b+apertium:english", "language pair"),
    ],
)
def test_what_it_is_not(spec: str, said: str):
    with pytest.raises(SettingsError, match=said):
        parse(spec)


@pytest.mark.parametrize(
    "asked",
    [{"temperature": 0.9}, {"temperature": 1.0}, {"top_k": 10}, {"top_k": 1}, {"top_p": 0.9}, {"beams": 4},
     {"precision": "int8"}],
)  # fmt: skip
def test_apertium_is_deterministic(asked: dict):
    with pytest.raises(SettingsError, match="deterministic"):
        parse("apertium:eng-spa", **asked)


def test_apertium_takes_what_is_not_set():
    assert len(parse("apertium:eng-spa", temperature=None, top_k=None, top_p=None, beams=1, seed=7)) == 1


@pytest.mark.parametrize("wrong", [{"temperature": 3}, {"beams": 0}, {"precision": "float64"}, {"top_k": 3}])
def test_decodings_that_do_not_exist(wrong: dict):
    with pytest.raises(SettingsError):
        parse("marian:a,b", **wrong)


def test_the_nearest_direction_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path):
    for name in ("eng-spa", "spa-eng", "cat-ita"):
        (tmp_path / f"{name}.mode").write_text("cat")
    monkeypatch.setattr(apertium, "MODES", tmp_path)
    [(there, _)] = parse("apertium:eng-sp")
    with pytest.raises(MissingPartError, match=r"'eng-sp' is not installed \(installed: eng-spa"):
        there(["a"], [0])


@pytest.mark.parametrize(
    "pair", ["../eng-../spa", "eng-/tmp/x", "/tmp/a-b", "eng-spa.mode", "e-s", "ab\x00-cd", "eng-spa-x", "-"]
)
def test_apertium_names_a_pair_and_no_path(pair):
    with pytest.raises(SettingsError, match=r"apertium:eng-spa") as error:
        parse(f"apertium:{pair}")
    assert "reinstall" not in str(error.value)


def test_a_variety_of_a_language_is_a_pair():
    assert apertium.Apertium("spa-eng_US").direction == "spa-eng_US"
