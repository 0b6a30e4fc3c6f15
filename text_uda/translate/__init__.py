"""Translation engines, one per file, and the only list of them."""

import re
from difflib import get_close_matches
from typing import Any

from text_uda.errors import SettingsError
from text_uda.text.language import ANY, two_letters
from text_uda.translate.apertium import Apertium
from text_uda.translate.device import WorkerShare
from text_uda.translate.translator import Translation, Translator

ENGINES = ("apertium", "marian", "ctranslate2")

__all__ = ["ENGINES", "Translation", "Translator", "parse", "source_language"]

RoundTrip = tuple[Translator, Translator]  # (forward, back)


def parse(
    spec: str, *, precision: str | None = None, share: WorkerShare | None = None, **decoding: Any
) -> tuple[RoundTrip, ...]:
    """The translators of `apertium:eng-spa` or `marian:FORWARD,BACK`; `+` joins several. Loads no model.

    Args:
        precision: of marian and ctranslate2 (see their classes); None is the engine's default.
        share: of the machine, for one of several worker processes; None is the whole machine.
        decoding: the fields of `Decoding`, for both directions.
    Raises:
        SettingsError: the engine is unknown, or does not support an option.
    """
    return tuple(_round_trip(part.strip(), precision, share or WorkerShare(), decoding) for part in spec.split("+"))


def source_language(translator: Translator) -> str:
    """The two-letter code of the language that a translator reads; `any` if its name and its files do not tell."""
    if isinstance(translator, Apertium):
        code = re.split("[-_]", translator.direction)[0]
    elif not isinstance(model := getattr(translator, "model", None), str):
        return ANY
    else:
        from text_uda.translate.marian_checkpoint import source_code

        code = source_code(model)
    try:
        return two_letters(code)
    except SettingsError:  # a group of languages, such as roa
        return ANY


def _round_trip(spec: str, precision: str | None, share: WorkerShare, decoding: dict[str, Any]) -> RoundTrip:
    engine, _, rest = spec.partition(":")
    if engine == "apertium":
        languages = rest.split("-")
        if len(languages) != 2 or not all(languages):
            raise SettingsError(f"translator {spec!r}: name a language pair, such as apertium:eng-spa")
        changed = {name for name, value in decoding.items() if value is not None} - {"seed"}
        if decoding.get("beams") == 1:
            changed -= {"beams"}
        if precision is not None or changed:
            raise SettingsError(
                "Apertium is deterministic: omit temperature, top-k, top-p, beams and precision, "
                "or choose a marian translator"
            )
        return Apertium(rest, share=share), Apertium("-".join(reversed(languages)), share=share)
    if engine in ("marian", "ctranslate2"):
        models = rest.split(",")
        if len(models) != 2 or not all(models):
            raise SettingsError(
                f"translator {spec!r}: name the forward model and the backward model, "
                f"such as {engine}:Helsinki-NLP/opus-mt-en-de,Helsinki-NLP/opus-mt-de-en"
            )
        from text_uda.translate.ctranslate2 import CTranslate2
        from text_uda.translate.decoding import Decoding
        from text_uda.translate.marian import Marian

        kind: Any = Marian if engine == "marian" else CTranslate2
        options = {} if precision is None else {"precision": precision}
        forward, back = (kind(model, Decoding(**decoding), **options, share=share) for model in models)
        return forward, back
    near = get_close_matches(engine, ENGINES, n=1)
    hint = f"did you mean {near[0]}:...?" if near else "choose apertium:eng-spa or marian:MODEL,MODEL"
    raise SettingsError(f"unknown translator {spec!r}; {hint}")
