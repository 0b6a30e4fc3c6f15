"""The augmentation that options name, built alike in `paraphrase` and `train`: one finds the other's rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    "back-translation": ("--translator", "--sampling-temperature"),
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

            translator = self.translator or DEFAULT_TRANSLATOR
            return BackTranslation(translator=translator, seed=seed, temperature=self.sampling_temperature)
        return None

    def _refuse_misfits(self) -> None:
        """An option that the method would not read is refused, so that nobody believes it did something."""
        given = {
            "--rate": self.rate,
            "--tau": self.tau,
            "--translator": self.translator,
            "--sampling-temperature": self.sampling_temperature,
        }
        for option, value in given.items():
            if value is not None and option not in _READS.get(self.method, ()):
                owners = " and ".join(name for name, reads in _READS.items() if option in reads)
                raise SettingsError(f"{option} belongs to {owners}, not to {self.method}; leave it out")
        if self.rate is not None and self.tau is not None:
            raise SettingsError("--rate and --tau both set how much SwitchOut changes; give one of them")


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
            help=f"apertium:PAIR or marian:THERE,BACK (back-translation). [default: {DEFAULT_TRANSLATOR}]",
        ),
        click.option(
            "--sampling-temperature",
            type=POSITIVE,
            metavar="T",
            help="Sample both legs of marian at T; without it decoding is greedy.",
        ),
        under="augmentation",
    )
