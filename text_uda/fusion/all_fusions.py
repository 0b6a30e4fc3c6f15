"""The list of the fusions."""

from collections.abc import Mapping

from text_uda.errors import SettingsError
from text_uda.fusion.columns_alone import ColumnsAlone
from text_uda.fusion.early import Early
from text_uda.fusion.intermediate import Intermediate
from text_uda.fusion.join import Fusion
from text_uda.fusion.late import Late
from text_uda.fusion.text_alone import TextAlone

FUSIONS: Mapping[str, type[Early | Intermediate | Late | ColumnsAlone | TextAlone]] = {
    fusion.name: fusion for fusion in (TextAlone, ColumnsAlone, Early, Intermediate, Late)
}
"""By name."""


def fusion_named(name: str) -> Fusion | TextAlone:
    """Raises SettingsError if there is none of this name."""
    if name not in FUSIONS:
        raise SettingsError(f"fusion={name!r}: choose {', '.join(FUSIONS)}")
    return FUSIONS[name]()
