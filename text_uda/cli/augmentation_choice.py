"""The augmentation that the options describe, the same in `paraphrase` and in `train`, which looks up its rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from text_uda.cli.declarations import DeclaredField, declared_class
from text_uda.cli.settings_options import Verb, declared_options, default_of
from text_uda.errors import SettingsError
from text_uda.lazy_imports import classes_by_file
from text_uda.ranges import Count, Fraction, Positive, WholeNumber

if TYPE_CHECKING:
    from text_uda.augment.cutoff import Kind
    from text_uda.augment.synonym import PartOfSpeech
    from translation_cache import Job

_CLASSES = classes_by_file("text_uda.augment.all_augmentations")
_DECLARED = {name: declared_class(*home) for name, home in _CLASSES.items()}
METHODS = tuple(name for name, declared in _DECLARED.items() if "__call__" in declared.methods)
IN_STEP = tuple(name for name, declared in _DECLARED.items() if declared.methods & {"on_tokens", "on_embeddings"})
"""The augmentations that the training step applies without a cache."""

# What RandAugment draws from by default; with a translator, back-translation too.
_OPERATIONS = ("synonym", "tfidf", "switchout", "insertion", "swap", "deletion", "aeda", "typos")
# The options that RandAugment passes on to each operation.
_OF_WORDS = ("protect", "language", "part_of_speech", "mlm_model")


@dataclass(frozen=True, kw_only=True)
class AugmentationChoice:
    method: str
    """How texts are paraphrased."""

    augment_seed: int = 0
    """Seed of the paraphrases."""

    samples: Count = 1
    """Paraphrases of each text."""

    rate: Fraction | None = None
    """Share of the words or tokens to change."""

    tau: Positive | None = None
    """Temperature of SwitchOut's distance, in place of --rate. None: --rate decides."""

    protect: tuple[str, ...] = ()
    """A word (a name, in back-translation) that stays; can be repeated. None: no word."""

    language: str | None = None
    """Language of the texts that an augmentation of words changes, such as en or deu; sentences in another one stay.
    Also `any`, except for synonym, insertion and eda."""

    part_of_speech: "tuple[PartOfSpeech, ...]" = ()
    """Replace only these by synonyms; can be repeated. None: all of them."""

    mlm_model: str | None = None
    """Masked language model of mlm: a hub id or a folder."""

    cutoff: "Kind | None" = None
    """What a cutoff sets to zero."""

    operations: tuple[str, ...] = ()
    """An augmentation that RandAugment draws from; can be repeated. None: the augmentations of words."""

    number: Count | None = None
    """Operations that RandAugment applies to a text."""

    magnitude: Fraction | None = None
    """How much each operation of RandAugment changes."""

    translator: str | None = None
    """Engine of back-translation: apertium:PAIR, marian:FORWARD,BACK or ctranslate2:FORWARD,BACK; join several pivots
    by +."""

    sampling_temperature: Positive | None = None
    """Temperature of mlm and llm, and of back-translation with marian or ctranslate2. None: the likeliest
    translation."""

    top_k: Count | None = None
    """Sample among the N likeliest tokens. None: all tokens."""

    top_p: Fraction | None = None
    """Sample among the likeliest tokens whose probabilities sum to X. None: all tokens."""

    beams: Count | None = None
    """Beams of back-translation; sample k is the k-th best translation."""

    translator_precision: str | None = None
    """Precision of the translator, such as float32, bfloat16, float16 or int8. None: float32 with marian, int8 with
    ctranslate2."""

    retries: WholeNumber | None = None
    """Times that back-translation and llm draw a rejected sample again."""

    llm_model: str | None = None
    """Language model of llm: its name on the server of --llm-url, else a hub id or a folder.
    None: none, and llm needs one."""

    llm_url: str | None = None
    """Server with OpenAI's interface, such as http://localhost:8000/v1; its key is read from TEXT_UDA_LLM_KEY. None:
    the model runs in this process."""

    llm_prompt: Path | None = None
    """File with the prompt: {text} stands for the text, {count} for the number of paraphrases. None: a prompt that asks
    to keep meaning and opinion."""

    llm_per_request: Count | None = None
    """Paraphrases that one request asks for."""

    llm_max_tokens: Count | None = None
    """Most tokens of a reply. None: 64, and one for each byte of the text and paraphrase."""

    llm_concurrency: Count | None = None
    """Requests at a time."""

    llm_timeout: Positive | None = None
    """Seconds for a reply; a slower one is asked for again."""

    def build(self, *, encoder: str, texts: Callable[[], Sequence[str]], cache: str | None) -> "Job | None":
        """The augmentation, None for `none`.

        Args:
            encoder: SwitchOut and Uniform switch tokens of its tokenizer.
            texts: returns the texts of the training side; called only by TF-IDF, which counts their words.
            cache: RandAugment reads back-translations from it.
        """
        if self.method == "none":
            self._refuse_other_options({})
            return None
        options = options_of(self.method)
        if self.method == "randaugment":
            return self._randaugment(options, encoder, texts, cache)
        self._refuse_other_options(options)
        arguments = self._arguments(options)
        if self.llm_prompt is not None:
            from text_uda.generate.prompt import read_template

            arguments["prompt"] = read_template(self.llm_prompt)
        return self._built(self.method, arguments, encoder, texts)

    def _built(self, method: str, arguments: dict[str, Any], encoder: str, texts: Callable[[], Sequence[str]]) -> "Job":
        fields = _DECLARED[method].fields
        if "seed" in fields:
            arguments["seed"] = self.augment_seed
        if "tokenizer" in fields:
            arguments["tokenizer"] = encoder
        if arguments.get("tau") is not None:
            arguments["rate"] = None
        if "statistics" in fields:
            from text_uda.augment.tfidf import Statistics

            arguments["statistics"] = Statistics.of(texts(), language=arguments.get("language", "en"))
        return _class_of(method)(**arguments)

    def _randaugment(
        self, options: dict[str, str], encoder: str, texts: Callable[[], Sequence[str]], cache: str | None
    ) -> "Job":
        """RandAugment. Its operations share the options of words; the options of decoding are for back-translation."""
        names = self.operations or _OPERATIONS + (("back-translation",) if self.translator else ())
        passed_on = {
            name: {
                option: field
                for option, field in options_of(name).items()
                if option in _OF_WORDS or name == "back-translation"
            }
            for name in names
        }
        self._refuse_other_options(options | {option: "" for of_name in passed_on.values() for option in of_name})
        operations = []
        for name in names:
            operation = self._built(name, self._arguments(passed_on[name]), encoder, texts)
            if name == "back-translation":
                if cache is None:
                    raise SettingsError("RandAugment reads back-translations from a cache; give --cache DIR")
                from text_uda.paraphrasing.cached import Cached

                operation = Cached(operation, cache)
            operations.append(operation)
        return self._built("randaugment", self._arguments(options) | {"operations": tuple(operations)}, encoder, texts)

    def _arguments(self, options: dict[str, str]) -> dict[str, Any]:
        """Field of the augmentation -> the value of its option, for the options that were given."""
        values = {field: getattr(self, option) for option, field in options.items()}
        return {field: value for field, value in values.items() if value not in (None, ())}

    def _refuse_other_options(self, options: dict[str, str]) -> None:
        """Raise SettingsError for an option that the method does not read: it would have no effect."""
        for option, value in vars(self).items():
            if option in ("method", "augment_seed", "samples") or value in (None, ()) or option in options:
                continue
            owners = [name for name in _DECLARED if option in options_of(name)]
            encoder = "; --encoder names an encoder" if option == "llm_model" else ""
            raise SettingsError(
                f"{_FLAGS.get(option) or '--' + option.replace('_', '-')} belongs to {' and '.join(owners)}, "
                f"not to {self.method}; leave it out{encoder}"
            )
        if self.rate is not None and self.tau is not None:
            raise SettingsError("--rate and --tau both set how much SwitchOut changes; give one of them")
        if self.retries is not None and self.sampling_temperature is None and self.method != "llm":
            raise SettingsError("--retries needs sampling; give --sampling-temperature, or leave it out")


_FLAGS = {"operations": "--operation"}
_RENAMED = {  # field of an augmentation -> the option that sets it
    "kind": "cutoff",
    "model": "mlm_model",
    "precision": "translator_precision",
    "temperature": "sampling_temperature",
}
_RENAMED_FOR_METHOD = {
    "llm": {name: f"llm_{name}" for name in ("model", "url", "prompt", "per_request", "max_tokens", "concurrency")}
    | {"timeout_s": "llm_timeout"}
}
_NOT_OFFERED = {("mlm", "precision")}
_NOT_IN_SETTINGS = ("llm_concurrency", "llm_timeout")  # do not decide which rows are read


def options_of(method: str) -> dict[str, str]:
    """The options that a method reads: field of AugmentationChoice -> field of the augmentation."""
    options = {
        _RENAMED_FOR_METHOD.get(method, _RENAMED).get(field) or _RENAMED.get(field, field): field
        for field in _DECLARED[method].fields
        if (method, field) not in _NOT_OFFERED
    }
    return {option: field for option, field in options.items() if option in AugmentationChoice.__dataclass_fields__}


def _class_of(method: str) -> Callable[..., "Job"]:
    module, name = _CLASSES[method]
    return getattr(import_module(module), name)


def _defaults(methods: Sequence[str], field: DeclaredField) -> str | None:
    """The defaults of the methods that read an option: "0.3 (synonym, uniform), 0.7 (tfidf)"."""
    readers: dict[str | None, list[str]] = {}
    for method in methods:
        if (of_method := options_of(method).get(field.name)) is not None:
            words = default_of(_DECLARED[method].fields[of_method]) or field.rule
            readers.setdefault(words, []).append(method)
    if len(readers) < 2:
        return next(iter(readers), None) or default_of(field)
    return ", ".join(f"{words} ({', '.join(names)})" for words, names in readers.items() if words is not None)


def augmentation_options(*, method: str, seed: str, training: bool = False) -> Callable[[Verb], Verb]:
    """Handed over as `augmentation: AugmentationChoice`; its method and seed are options of these names.

    `training` adds `none`, the default, and the methods that work in the training step alone.
    """
    offered = (*METHODS, *(name for name in IN_STEP if name not in METHODS)) if training else METHODS
    return declared_options(
        (__name__, "AugmentationChoice"),
        into=AugmentationChoice,
        under="augmentation",
        group="Augmentation",
        groups={name: "Language model" for name in AugmentationChoice.__dataclass_fields__ if name.startswith("llm_")},
        leave_out=_NOT_IN_SETTINGS if training else ("cutoff",),
        names={"method": method, "augment_seed": seed, **_FLAGS}
        | ({} if training else {"llm_model": "--model/--llm-model"}),
        types={
            "method": click.Choice(("none", *offered) if training else offered),
            "operations": click.Choice(tuple(name for name in METHODS if name not in ("randaugment", "llm"))),
        },
        metavars={"protect": "WORD", "mlm_model": "MODEL", "translator": "ENGINE", "translator_precision": "NAME"}
        | {"llm_model": "NAME", "llm_url": "URL"},
        default_words=lambda field: "none" if field.name == "method" and training else _defaults(offered, field),
        defaults={"method": "none"} if training else {},
        required=() if training else ("method",),
    )
