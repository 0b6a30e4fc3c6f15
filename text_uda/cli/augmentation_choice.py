"""The augmentation that options name, built alike in `paraphrase` and `train`: one finds the other's rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from text_uda.cli.shared_options import COUNT, Verb, gathered
from text_uda.errors import SettingsError

if TYPE_CHECKING:
    from translation_cache import Job

DEFAULT_TRANSLATOR = "apertium:eng-spa"
SHARE = click.FloatRange(0, 1, min_open=True)
POSITIVE = click.FloatRange(0, min_open=True)


class _Method(NamedTuple):
    home: str
    """The module of text_uda.augment and the class in it: not imported here, since --help has to be quick."""
    reads: dict[str, str]
    """Of AugmentationChoice the fields that it reads, and what they are called in the class."""


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


# The methods of text_uda.augment.METHODS. A test compares.
_METHODS = {
    "synonym": _Method("synonym.Synonym", _same("rate", "protect", "part_of_speech")),
    "tfidf": _Method("tfidf.TfIdf", _same("rate", "protect")),
    "uniform": _Method("uniform.Uniform", _same("rate")),
    "switchout": _Method("switchout.SwitchOut", _same("rate", "tau")),
    "insertion": _Method("insertion.Insertion", _same("rate", "protect")),
    "swap": _Method("swap.Swap", _same("rate", "protect")),
    "deletion": _Method("deletion.Deletion", _same("rate", "protect")),
    "eda": _Method("eda.EDA", _same("rate", "protect")),
    "aeda": _Method("aeda.AEDA", {}),
    "typos": _Method("typos.Typos", _same("rate", "protect")),
    "mlm": _Method(
        "mlm.MaskedLanguageModel",
        _same("rate", "protect", "top_k") | {"mlm_model": "model", "sampling_temperature": "temperature"},
    ),
    "randaugment": _Method("randaugment.RandAugment", _same("magnitude", "number", "operations")),
    "back-translation": _Method(
        "backtranslate.BackTranslation",
        _same("translator", "top_k", "top_p", "beams", "retries", "protect")
        | {"sampling_temperature": "temperature", "translator_precision": "precision"},
    ),
}
METHODS = tuple(_METHODS)
_IN_STEP = {"cutoff": _Method("cutoff.Cutoff", _same("rate") | {"cutoff": "kind"})}
IN_STEP = ("switchout", "uniform", *_IN_STEP)  # what the training step can do by itself, without a cache
# What RandAugment draws from unless told; back-translation joins them where a translator is named.
_OPERATIONS = ("synonym", "tfidf", "switchout", "insertion", "swap", "deletion", "aeda", "typos")


@dataclass(frozen=True, kw_only=True)
class AugmentationChoice:
    method: str
    augment_seed: int
    samples: int
    rate: float | None = None
    tau: float | None = None
    protect: tuple[str, ...] = ()
    part_of_speech: tuple[str, ...] = ()
    mlm_model: str | None = None
    cutoff: str | None = None
    operations: tuple[str, ...] = ()
    number: int | None = None
    magnitude: float | None = None
    translator: str | None = None
    sampling_temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    beams: int | None = None
    translator_precision: str | None = None
    retries: int | None = None

    def build(self, *, encoder: str, texts: Callable[[], Sequence[str]], cache: str | None) -> "Job | None":
        """The augmentation, None for `none`.

        Args:
            encoder: SwitchOut and Uniform switch tokens of its tokenizer.
            texts: gives those of the training side, of which TF-IDF counts the words; not called for others.
            cache: from which RandAugment takes back-translations.
        """
        if self.method == "none":
            self._refuse_misfits({})
            return None
        reads = (_METHODS | _IN_STEP)[self.method].reads
        if self.method == "randaugment":
            return self._randaugment(reads, encoder, texts, cache)
        self._refuse_misfits(reads)
        return self._one(self.method, self._given(reads), encoder, texts)

    def _one(self, method: str, given: dict[str, Any], encoder: str, texts: Callable[[], Sequence[str]]) -> "Job":
        if method in ("switchout", "uniform"):
            given["tokenizer"] = encoder
        if given.get("tau") is not None:
            given["rate"] = None
        if method == "tfidf":
            from text_uda.augment.tfidf import Statistics

            given["statistics"] = Statistics.of(texts())
        seed = {} if method == "cutoff" else {"seed": self.augment_seed}  # a cutoff is drawn anew in each step
        return _class_of(method)(**seed, **given)

    def _randaugment(
        self, reads: dict[str, str], encoder: str, texts: Callable[[], Sequence[str]], cache: str | None
    ) -> "Job":
        """Its operations share what is of words; how to decode is for back-translation alone."""
        names = self.operations or _OPERATIONS + (("back-translation",) if self.translator else ())
        shared = {"protect", "part_of_speech", "mlm_model"}
        asked = {
            name: {
                field: argument
                for field, argument in _METHODS[name].reads.items()
                if field in shared or name == "back-translation"
            }
            for name in names
        }
        self._refuse_misfits(reads | {field: argument for each in asked.values() for field, argument in each.items()})
        operations = []
        for name in names:
            operation = self._one(name, self._given(asked[name]), encoder, texts)
            if name == "back-translation":
                if cache is None:
                    raise SettingsError("back-translation in RandAugment is read from a cache; say where: --cache DIR")
                from text_uda.paraphrasing.cached import Cached

                operation = Cached(operation, cache)
            operations.append(operation)
        given = self._given(reads) | {"operations": tuple(operations)}
        return _class_of("randaugment")(seed=self.augment_seed, **given)

    def _given(self, reads: dict[str, str]) -> dict[str, Any]:
        """What was said, by its name in the class; what was not keeps the default there."""
        values = {name: getattr(self, field) for field, name in reads.items()}
        return {name: value for name, value in values.items() if value not in (None, ())}

    def _refuse_misfits(self, reads: dict[str, str]) -> None:
        """An option that the method would not read is refused, so that nobody believes it did something."""
        for field, value in vars(self).items():
            if field in ("method", "augment_seed", "samples") or value in (None, ()) or field in reads:
                continue
            owners = [name for name, method in (_METHODS | _IN_STEP).items() if field in method.reads]
            raise SettingsError(
                f"--{_OPTIONS.get(field, field).replace('_', '-')} belongs to {' and '.join(owners)}, "
                f"not to {self.method}; leave it out"
            )
        if self.rate is not None and self.tau is not None:
            raise SettingsError("--rate and --tau both set how much SwitchOut changes; give one of them")
        if self.retries is not None and self.sampling_temperature is None:
            raise SettingsError("--retries draws again what was sampled; give --sampling-temperature, or leave it out")


_OPTIONS = {"operations": "operation"}  # options that are not called like their field


def _class_of(method: str) -> Callable[..., "Job"]:
    module, name = (_METHODS | _IN_STEP)[method].home.split(".")
    return getattr(import_module(f"text_uda.augment.{module}"), name)


def augmentation_options(*, method: str, seed: str, training: bool = False) -> Callable[[Verb], Verb]:
    """Handed over as `augmentation: AugmentationChoice`; its method and seed are options of these names.

    Training may do without, which is its default, and knows methods that work on embeddings.
    """
    choices = ("none", *METHODS, *_IN_STEP) if training else METHODS
    in_step = (
        click.option("--cutoff", type=click.Choice(("token", "feature", "span")), help="What a cutoff sets to zero."),
    )
    return gathered(
        AugmentationChoice,
        click.option(
            method,
            "method",
            type=click.Choice(choices),
            required=not training,
            default="none" if training else None,
            show_default=training,
            help="How texts are paraphrased.",
        ),
        click.option(seed, "augment_seed", default=0, show_default=True, metavar="N", help="Seed of the paraphrases."),
        click.option("--samples", type=COUNT, default=1, show_default=True, metavar="N", help="Paraphrases a text."),
        click.option("--rate", type=SHARE, metavar="R", help="Share of the words or tokens to change."),
        click.option(
            "--tau", type=POSITIVE, metavar="T", help="Temperature of SwitchOut's distance, in place of --rate."
        ),
        click.option(
            "--protect",
            multiple=True,
            metavar="WORD",
            help="A word (a name, in back-translation) to leave alone; may be given several times.",
        ),
        click.option(
            "--part-of-speech",
            multiple=True,
            type=click.Choice(("noun", "verb", "adjective", "adverb")),
            help="Replace only these by synonyms; may be given several times.",
        ),
        click.option("--mlm-model", metavar="MODEL", help="Masked language model (mlm): a hub id or a folder."),
        *(in_step if training else ()),
        click.option(
            "--operation",
            "operations",
            multiple=True,
            type=click.Choice(tuple(name for name in METHODS if name != "randaugment")),
            help="What RandAugment draws from; may be given several times.",
        ),
        click.option("--number", type=COUNT, metavar="N", help="Operations that RandAugment applies to a text."),
        click.option("--magnitude", type=SHARE, metavar="M", help="How much each of RandAugment's operations does."),
        click.option(
            "--translator",
            metavar="ENGINE",
            help="apertium:PAIR, marian:THERE,BACK or ctranslate2:THERE,BACK (back-translation); several, for several "
            f"pivots, joined by +. [default: {DEFAULT_TRANSLATOR}]",
        ),
        click.option(
            "--sampling-temperature",
            type=POSITIVE,
            metavar="T",
            help="Of mlm, and of back-translation, which without it decodes greedily, or with --beams (not apertium).",
        ),
        click.option("--top-k", type=COUNT, metavar="N", help="Sample among the N likeliest tokens alone."),
        click.option(
            "--top-p", type=SHARE, metavar="P", help="Sample among the likeliest tokens that together have P."
        ),
        click.option("--beams", type=COUNT, metavar="N", help="Beam search; sample k is the k-th best translation."),
        click.option(
            "--translator-precision",
            metavar="NAME",
            help="Of the translator's arithmetic, such as float32, bfloat16, float16 or int8.",
        ),
        click.option(
            "--retries",
            type=click.IntRange(min=0),
            metavar="N",
            help="How often a rejected sample is drawn again, where one samples. [default: 2]",
        ),
        under="augmentation",
    )
