"""A written Parquet file holds the values that it was given."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from text_uda.data.table_writer import inferred_schema, table_writer


def written(tmp_path: Path, *blocks: Sequence[Any]) -> tuple[pa.DataType, list[Any]]:
    records = [[{"x": value} for value in block] for block in blocks]
    schema = inferred_schema(["x"], lambda: records, known=None)
    with table_writer(tmp_path / "out.parquet", schema) as write:
        for block in records:
            write(block)
    table = pq.read_table(tmp_path / "out.parquet")
    return table.schema.field("x").type, table["x"].to_pylist()


@pytest.mark.parametrize(
    ("blocks", "values"),
    [
        ([[1], [1.5, 0.7]], [1, 1.5, 0.7]),
        ([[[1]], [[1.5]]], [[1], [1.5]]),
        ([[None], [1], [None, 2]], [None, 1, None, 2]),
        ([[{"a": 1}], [{"a": 1, "b": 2}], [{}]], [{"a": 1, "b": None}, {"a": 1, "b": 2}, {"a": None, "b": None}]),
        ([[{"a": {}}], [{"a": {"b": 1}}]], [{"a": {"b": None}}, {"a": {"b": 1}}]),
        ([[[]], [[None]]], [[], [None]]),
        # No type of Parquet keeps these: they are JSON texts.
        ([[2**53 + 1], [1.5]], ["9007199254740993", "1.5"]),
        ([[1.5], [2**53 + 1]], ["1.5", "9007199254740993"]),
        ([[True], [3]], ["true", "3"]),
        ([[1], [2**64]], ["1", "18446744073709551616"]),
        ([[{}, {}]], ["{}", "{}"]),
        ([[[{}]]], ["[{}]"]),
        ([[{"a": 1}], [[1]]], ['{"a": 1}', "[1]"]),
        ([[{"a": 1}], [{"a": "x"}]], ['{"a": 1}', '{"a": "x"}']),
    ],
)
def test_each_value_of_each_block_is_kept(tmp_path: Path, blocks: list[list[Any]], values: list[Any]) -> None:
    assert written(tmp_path, *blocks)[1] == values


def test_nan_makes_no_text_of_a_number(tmp_path: Path) -> None:
    kind, values = written(tmp_path, [1.5, math.nan], [math.nan, 2])
    assert kind == pa.float64() and values[0] == 1.5 and math.isnan(values[1]) and values[3] == 2.0


def test_types_of_a_parquet_input_stay(tmp_path: Path) -> None:
    kinds = {
        "small": pa.int8(),
        "ratio": pa.float32(),
        "when": pa.timestamp("us"),
        "name": pa.large_string(),
    }
    table = pa.table({name: pa.array([None], kind) for name, kind in kinds.items()})
    pq.write_table(table, tmp_path / "in.parquet")
    records = [*table.to_pylist(), {"small": 3, "ratio": 0.5, "when": None, "name": "a"}]
    assert inferred_schema([*kinds], lambda: [records], known=tmp_path / "in.parquet") == table.schema
