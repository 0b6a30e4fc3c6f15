"""A value of a Parquet file that is no UTF-8: the row is named."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from text_uda.data.tables import open_table
from text_uda.errors import DataError


def test_the_row_is_named(tmp_path):
    path = tmp_path / "rows.parquet"
    values = pa.array([b"one", b"two", b"caf\xe9", b"four"]).view(pa.string())
    pq.write_table(pa.table({"text": values, "label": ["a", "b", "a", "b"]}), path)
    with pytest.raises(DataError, match=r"rows.parquet, row 3: a value is no UTF-8"):
        list(open_table(path).records())
