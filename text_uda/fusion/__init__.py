"""Text with other columns of its row: one way to join them in each file."""

from text_uda.fusion.all_fusions import FUSIONS
from text_uda.fusion.choose import Choose
from text_uda.fusion.columns_alone import ColumnsAlone
from text_uda.fusion.early import Early
from text_uda.fusion.intermediate import Intermediate
from text_uda.fusion.join import Fusion
from text_uda.fusion.late import Late
from text_uda.fusion.text_alone import TextAlone

__all__ = ["FUSIONS", "Choose", "ColumnsAlone", "Early", "Fusion", "Intermediate", "Late", "TextAlone"]
