"""The list of the fusions."""

from collections.abc import Mapping

from text_uda.fusion.columns_alone import ColumnsAlone
from text_uda.fusion.early import Early
from text_uda.fusion.intermediate import Intermediate
from text_uda.fusion.late import Late
from text_uda.fusion.text_alone import TextAlone

FUSIONS: Mapping[str, type[Early | Intermediate | Late | ColumnsAlone | TextAlone]] = {
    fusion.name: fusion for fusion in (TextAlone, ColumnsAlone, Early, Intermediate, Late)
}
"""By name."""
