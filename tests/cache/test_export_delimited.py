"""A cache as csv and tsv: every text byte for byte."""

import csv
from pathlib import Path

import pyarrow.csv as pa_csv
import pytest

from translation_cache import Cache, Paraphrase, export
from translation_cache.errors import CacheError

ROWS = [
    ('=1+2, "so"\r\nnext', "-a\tb"),
    ("+49 170", "@you"),
    ("naïve 🙂", ""),
    ("nothing came", None),
]


@pytest.mark.parametrize(("ending", "delimiter"), [(".csv", ","), (".tsv", "\t"), (".CSV", ",")])
def test_texts_come_back_byte_for_byte(tmp_path: Path, ending: str, delimiter: str):
    cache = Cache(tmp_path / "cache")
    rows = [(source, 0, Paraphrase(text, "ok" if text else "empty", None, {})) for source, text in ROWS]
    cache.add({"method": "toy"}, rows)
    out = tmp_path / f"pairs{ending}"
    assert export(cache, out) == {"rows": 4}
    with out.open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file, delimiter=delimiter))
    assert list(read[0]) == ["source", "sample", "paraphrase", "pivot", "status", "method"]
    assert {row["source"]: row["paraphrase"] for row in read} == {source: text or "" for source, text in ROWS}
    nulls = pa_csv.read_csv(
        out,
        parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
        ),
    )
    assert dict(zip(*(nulls[name].to_pylist() for name in ("source", "paraphrase")), strict=True)) == dict(ROWS)


def test_an_empty_cache_is_a_header(tmp_path: Path):
    export(Cache(tmp_path / "cache"), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == '"source","sample","paraphrase","pivot","status","method"\n'


def test_another_ending_is_named(tmp_path: Path):
    with pytest.raises(
        CacheError, match=r"'a\.xlsx'; use a name that ends in \.csv, \.tsv, \.jsonl, \.parquet or \.arrow"
    ):
        export(Cache(tmp_path / "cache"), tmp_path / "a.xlsx")
