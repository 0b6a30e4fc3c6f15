"""The options of rows with other columns: how the columns join the text."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from text_uda.cli.settings_options import Verb, declared_options
from text_uda.errors import SettingsError

if TYPE_CHECKING:
    from text_uda.fusion import Choose, Fusion, TextAlone


@dataclass(frozen=True, kw_only=True)
class FusionChoice:
    fusion: Literal["text", "columns", "early", "intermediate", "late", "choose"] | None = None
    """How the columns of --numeric, --categorical and --vector join the text: where the trained layers begin, at the
    last layer, or at the logits; or one of the two alone; or choose, which trains all five and keeps the one with the
    best development figure. None: no columns."""

    column_dropout: float | None = None
    """Probability that a column of a labeled row, or of the second view of an unlabeled row, is taken as missing.
    None: 0."""

    fusion_learning_rate: float | None = None
    """Peak learning rate of the weights that join the columns. None: 0.0002, for late 0.0001, and
    for columns without the text 0.003."""

    def build(self) -> "Fusion | TextAlone | Choose | None":
        from text_uda.fusion import FUSIONS, Choose

        if self.fusion in (None, "text"):
            if self.column_dropout is not None or self.fusion_learning_rate is not None:
                raise SettingsError(
                    f"--{'column-dropout' if self.column_dropout is not None else 'fusion-learning-rate'} needs"
                    " --fusion early, intermediate, late, columns or choose; leave it out"
                )
            return None if self.fusion is None else FUSIONS[self.fusion]()
        options = {"column_dropout": self.column_dropout, "learning_rate": self.fusion_learning_rate}
        settings: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        return (Choose if self.fusion == "choose" else FUSIONS[self.fusion])(**settings)


def fusion_options(function: Verb) -> Verb:
    """Handed over as `fusion: FusionChoice`."""
    decorate = declared_options((__name__, "FusionChoice"), into=FusionChoice, under="fusion", group="Data")
    return decorate(function)
