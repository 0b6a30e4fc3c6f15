"""Naming a translator."""

import pytest

from text_uda.errors import SettingsError
from text_uda.translate import Translator, parse


def test_both_ways():
    there, back = parse("apertium:eng-spa")
    assert (there.direction, back.direction) == ("eng-spa", "spa-eng")
    there, back = parse("marian:a/there,b/back", temperature=0.9, seed=3)
    assert (there.model, back.model, there.temperature, there.seed) == ("a/there", "b/back", 0.9, 3)
    assert isinstance(there, Translator) and there.deterministic is False


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("apertim:eng-spa", "did you mean apertium"),
        ("google", "apertium:eng-spa or marian"),
        ("apertium:english", "language pair"),
        ("apertium:eng-", "language pair"),
        ("marian:one", "the model there and the model back"),
        ("marian:one,", "the model there and the model back"),
        ("", "apertium:eng-spa or marian"),
    ],
)
def test_what_it_is_not(spec, said):
    with pytest.raises(SettingsError, match=said):
        parse(spec)


def test_apertium_cannot_sample():
    with pytest.raises(SettingsError, match="deterministic"):
        parse("apertium:eng-spa", temperature=0.9)
