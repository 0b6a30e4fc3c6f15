"""The augmentation that options name, built alike in `paraphrase` and `train`: one finds the other's rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from text_uda.cli.options import COUNT, Verb, gathered
from text_uda.errors import SettingsError

if TYPE_CHECKING:
    from translation_cache import Job

# The names of text_uda.augment.METHODS, which is not imported here: --help has to be quick. A test compares.
METHODS = ("synonym", "switchout", "back-translation")
DEFAULT_TRANSLATOR = "apertium:eng-spa"
_READS = {
    "synonym": ("--rate",),
    "switchout": ("--rate", "--tau"),
    "back-translation": (
        "--translator",
        "--sampling-temperature",
        "--top-k",
        "--top-p",
        "--beams",
        "--translator-precision",
        "--retries",
        "--protect",
    ),
}
SHARE = click.FloatRange(0, 1, min_open=True)
POSITIVE = click.FloatRange(0, min_open=True)


@dataclass(frozen=True, kw_only=True)
class AugmentationChoice:
    method: str
    augment_seed: int
    rate: float | None
    tau: float | None
    translator: str | None
    sampling_temperature: float | None
    top_k: int | None
    top_p: float | None
    beams: int | None
    translator_precision: str | None
    retries: int | None
    protect: tuple[str, ...]
    samples: int

    def build(self, encoder: str) -> "Job | None":
        """The augmentation, None for `none`. SwitchOut switches tokens of the tokenizer of `encoder`."""
        self._refuse_misfits()
        seed = self.augment_seed
        if self.method == "synonym":
            from text_uda.augment.synonym import Synonym

            return Synonym(seed=seed) if self.rate is None else Synonym(seed=seed, rate=self.rate)
        if self.method == "switchout":
            from text_uda.augment.switchout import SwitchOut

            if self.tau is not None:
                return SwitchOut(tokenizer=encoder, seed=seed, rate=None, tau=self.tau)
            return (
                SwitchOut(tokenizer=encoder, seed=seed)
                if self.rate is None
                else SwitchOut(tokenizer=encoder, seed=seed, rate=self.rate)
            )
        if self.method == "back-translation":
            from text_uda.augment.backtranslate import BackTranslation

            fields = {
                "translator": self.translator,
                "temperature": self.sampling_temperature,
                "top_k": self.top_k,
                "top_p": self.top_p,
                "beams": self.beams,
                "precision": self.translator_precision,
                "retries": self.retries,
                "protect": self.protect or None,
            }
            given: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
            return BackTranslation(seed=seed, **given)
        return None

    def _refuse_misfits(self) -> None:
        """An option that the method would not read is refused, so that nobody believes it did something."""
        given = {
            "--rate": self.rate,
            "--tau": self.tau,
            "--translator": self.translator,
            "--sampling-temperature": self.sampling_temperature,
            "--top-k": self.top_k,
            "--top-p": self.top_p,
            "--beams": self.beams,
            "--translator-precision": self.translator_precision,
            "--retries": self.retries,
            "--protect": self.protect or None,
        }
        for option, value in given.items():
            if value is not None and option not in _READS.get(self.method, ()):
                owners = " and ".join(name for name, reads in _READS.items() if option in reads)
                raise SettingsError(f"{option} belongs to {owners}, not to {self.method}; leave it out")
        if self.rate is not None and self.tau is not None:
            raise SettingsError("--rate and --tau both set how much SwitchOut changes; give one of them")
        if self.retries is not None and self.sampling_temperature is None:
            raise SettingsError("--retries draws again what was sampled; give --sampling-temperature, or leave it out")


def augmentation_options(*, method: str, seed: str, default: str | None = None) -> Callable[[Verb], Verb]:
    """Handed over as `augmentation: AugmentationChoice`; its method and seed are options of these names."""
    choices = METHODS if default is None else (default, *METHODS)
    return gathered(
        AugmentationChoice,
        click.option(
            method,
            "method",
            type=click.Choice(choices),
            required=default is None,
            default=default,
            show_default=default is not None,
            help="How texts are paraphrased.",
        ),
        click.option(seed, "augment_seed", default=0, show_default=True, metavar="N", help="Seed of the paraphrases."),
        click.option("--samples", type=COUNT, default=1, show_default=True, metavar="N", help="Paraphrases a text."),
        click.option(
            "--rate",
            type=SHARE,
            metavar="R",
            help="Share of the words (synonym) or tokens (switchout) to change.",
        ),
        click.option(
            "--tau",
            type=POSITIVE,
            metavar="T",
            help="Temperature of SwitchOut's distance, in place of --rate.",
        ),
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
            help="Sample both ways at T; without it decoding is greedy, or with --beams. Not for apertium.",
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
        click.option(
            "--protect",
            multiple=True,
            metavar="NAME",
            help="A name that has to survive translation; may be given several times.",
        ),
        under="augmentation",
    )
