"""Rows of a table that has several chunks."""

from collections.abc import Sequence

import pyarrow as pa
import pytest

from translation_cache.mapped import take_rows

TABLE = pa.concat_tables([pa.table({"text": list(part)}) for part in ("abc", "defg", "hij")])


@pytest.mark.parametrize(
    "places",
    [[], [0], [2, 3, 4], range(10), [4, 5, 6, 7], [1, 1, 5], [0, 0, 2], [0, 2, 3], [9, 0, 4, 4], [3, 2]],
    ids=str,
)
def test_they_are_those_that_arrow_takes(places: Sequence[int]):
    assert take_rows(TABLE, places).equals(TABLE.take(pa.array(places, pa.int64())))
