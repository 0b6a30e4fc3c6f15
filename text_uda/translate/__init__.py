"""Translation engines, one a file, and the only list of them."""

from difflib import get_close_matches

from text_uda.errors import SettingsError
from text_uda.translate.apertium import Apertium
from text_uda.translate.translator import Translation, Translator

ENGINES = ("apertium", "marian")

__all__ = ["ENGINES", "Translation", "Translator", "parse"]


def parse(spec: str, *, temperature: float | None = None, seed: int = 0) -> tuple[Translator, Translator]:
    """The way there and the way back of `apertium:eng-spa` or `marian:MODEL,MODEL`. Loads nothing yet.

    Args:
        temperature: sample both ways at this temperature; None decodes greedily.
        seed: of the sampling.
    Raises:
        SettingsError: an unknown engine, or one that cannot do what is asked.
    """
    engine, _, rest = spec.partition(":")
    if engine == "apertium":
        languages = rest.split("-")
        if len(languages) != 2 or not all(languages):
            raise SettingsError(f"translator {spec!r}: name a language pair, such as apertium:eng-spa")
        if temperature is not None:
            raise SettingsError("Apertium is deterministic: leave the temperature out, or take a marian translator")
        return Apertium(rest), Apertium("-".join(reversed(languages)))
    if engine == "marian":
        models = rest.split(",")
        if len(models) != 2 or not all(models):
            raise SettingsError(
                f"translator {spec!r}: name the model there and the model back, "
                "such as marian:Helsinki-NLP/opus-mt-en-de,Helsinki-NLP/opus-mt-de-en"
            )
        from text_uda.translate.marian import Marian

        there, back = (Marian(model, temperature=temperature, seed=seed) for model in models)
        return there, back
    near = get_close_matches(engine, ENGINES, n=1)
    hint = f"did you mean {near[0]}:...?" if near else "take apertium:eng-spa or marian:MODEL,MODEL"
    raise SettingsError(f"no translator {spec!r}; {hint}")
