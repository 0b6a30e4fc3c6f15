"""Translation engines, one a file, and the only list of them."""

from difflib import get_close_matches
from typing import Any

from text_uda.errors import SettingsError
from text_uda.translate.apertium import Apertium
from text_uda.translate.translator import Translation, Translator

ENGINES = ("apertium", "marian", "ctranslate2")

__all__ = ["ENGINES", "Translation", "Translator", "parse"]

Way = tuple[Translator, Translator]  # there, back


def parse(spec: str, *, precision: str | None = None, **decoding: Any) -> tuple[Way, ...]:
    """The ways there and back that `apertium:eng-spa` or `marian:THERE,BACK` name, joined by `+`. Loads nothing yet.

    Args:
        precision: of marian and ctranslate2, see there; None is the engine's own.
        decoding: the fields of `Decoding`, for both directions.
    Raises:
        SettingsError: an unknown engine, or one that cannot do what is asked.
    """
    return tuple(_way(each.strip(), precision, decoding) for each in spec.split("+"))


def _way(spec: str, precision: str | None, decoding: dict[str, Any]) -> Way:
    engine, _, rest = spec.partition(":")
    if engine == "apertium":
        languages = rest.split("-")
        if len(languages) != 2 or not all(languages):
            raise SettingsError(f"translator {spec!r}: name a language pair, such as apertium:eng-spa")
        set_here = {name for name, value in decoding.items() if value is not None} - {"seed"}
        if decoding.get("beams") == 1:
            set_here -= {"beams"}
        if precision is not None or set_here:
            raise SettingsError(
                "Apertium is deterministic: leave temperature, top-k, top-p, beams and precision out, "
                "or take a marian translator"
            )
        return Apertium(rest), Apertium("-".join(reversed(languages)))
    if engine in ("marian", "ctranslate2"):
        models = rest.split(",")
        if len(models) != 2 or not all(models):
            raise SettingsError(
                f"translator {spec!r}: name the model there and the model back, "
                f"such as {engine}:Helsinki-NLP/opus-mt-en-de,Helsinki-NLP/opus-mt-de-en"
            )
        from text_uda.translate.ctranslate2 import CTranslate2
        from text_uda.translate.decoding import Decoding
        from text_uda.translate.marian import Marian

        kind: Any = Marian if engine == "marian" else CTranslate2
        given = {} if precision is None else {"precision": precision}
        there, back = (kind(model, Decoding(**decoding), **given) for model in models)
        return there, back
    near = get_close_matches(engine, ENGINES, n=1)
    hint = f"did you mean {near[0]}:...?" if near else "take apertium:eng-spa or marian:MODEL,MODEL"
    raise SettingsError(f"no translator {spec!r}; {hint}")
