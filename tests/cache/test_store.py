"""The store: what is added is there, once, whole, and nothing else is ever read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from contents import content
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from translation_cache import Cache, CacheError, Paraphrase, digest, fingerprint, lookup, missing
from translation_cache.queries import Missing

SETTINGS = {"method": "test", "seed": 0, "rate": 0.1}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PARAPHRASES = st.builds(
    Paraphrase,
    text=TEXTS,
    status=st.sampled_from(["ok", "unchanged", "numbers"]),
    pivot=st.none() | TEXTS,
    scores=st.dictionaries(TEXTS, st.floats(allow_nan=False, allow_infinity=False), max_size=2),
)


def pairs(found: Missing) -> list[tuple[str, int]]:
    return [(row["source"], row["sample"]) for row in found.rows.to_pylist()]


@given(st.dictionaries(st.tuples(TEXTS, st.integers(0, 3)), PARAPHRASES, max_size=8))
@hypothesis_settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_added_is_found(tmp_path_factory, rows):
    cache = Cache(tmp_path_factory.mktemp("cache"))
    assert cache.add(SETTINGS, [(source, sample, made) for (source, sample), made in rows.items()]) == len(rows)
    sources = sorted({source for source, _ in rows})
    found = lookup(Cache(str(cache)), SETTINGS, sources, samples=4)
    for source, samples in zip(sources, found, strict=True):
        for sample, made in enumerate(samples):
            assert made == rows.get((source, sample))
    there = missing(Cache(str(cache)), SETTINGS, [*sources, "never made"], samples=1)
    assert set(pairs(there)) == {(s, 0) for s in [*sources, "never made"] if (s, 0) not in rows}


def test_a_folder_that_is_not_there_is_an_empty_cache(tmp_path: Path):
    cache = Cache(tmp_path / "none")
    assert cache.settings() == {} and lookup(cache, SETTINGS, ["a"]) == [[None]]
    assert pairs(missing(cache, SETTINGS, ["a", "a"], samples=2)) == [("a", 0), ("a", 1)]
    assert not (tmp_path / "none").exists(), "looking writes nothing"


def test_what_is_missing_stands_by_source_then_by_sample(cache: Cache):
    cache.add(SETTINGS, [("b", 1, Paraphrase("made")), ("a", 0, Paraphrase("made")), ("d", 0, Paraphrase("made"))])
    found = missing(cache, SETTINGS, ["c", "b", "a", "b", "d", "c"], samples=3)
    places = {"c": (0, 1, 2), "b": (0, 2), "a": (1, 2), "d": (1, 2)}
    assert pairs(found) == [(source, sample) for source, samples in places.items() for sample in samples]
    assert found.requested == 12 and pairs(missing(cache, SETTINGS, ["a"], samples=1)) == []


def test_the_digest_is_of_the_content_however_it_is_spread(tmp_path: Path):
    rows = [(f"text {number}", 0, Paraphrase(f"other {number}")) for number in range(10)]
    one, many = Cache(tmp_path / "one"), Cache(tmp_path / "many")
    one.add(SETTINGS, rows)
    for row in reversed(rows):
        many.add(SETTINGS, [row])
    many.add(SETTINGS, rows[:3])
    assert digest(one, SETTINGS) == digest(many, SETTINGS) and content(one) == content(many)
    many.add(SETTINGS, [("one more", 0, Paraphrase("row"))])
    assert digest(one, SETTINGS) != digest(many, SETTINGS)


@pytest.mark.parametrize("order", [1, -1])
def test_two_rows_of_one_key_are_one_row_the_same_for_every_reader(tmp_path: Path, order: int):
    cache = Cache(tmp_path / "cache")
    rows = [Paraphrase("rejected", "numbers"), Paraphrase("b"), Paraphrase("a")]
    for made in rows[::order]:
        cache.add(SETTINGS, [("text", 0, made)])
    assert lookup(cache, SETTINGS, ["text"]) == [[Paraphrase("a")]], "ok comes first, then the order of the texts"


def test_equal_rows_make_equal_files(tmp_path: Path):
    rows = [(f"text {number}", 0, Paraphrase(f"other {number}")) for number in range(5)]
    for name in ("one", "other"):
        Cache(tmp_path / name).add(SETTINGS, rows if name == "one" else rows[::-1])
    names = [[file.name for file in Cache(tmp_path / name).shards(fingerprint(SETTINGS))] for name in ("one", "other")]
    assert names[0] == names[1] and len(names[0]) == 1


def test_it_is_no_folder_of_ours(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CacheError, match="not of a cache"):
        Cache(tmp_path)
    with pytest.raises(CacheError, match="is a file"):
        Cache(tmp_path / "thesis.tex")
    for name, target in (("dangling", "nowhere"), ("loop", "loop")):
        (tmp_path / name).symlink_to(tmp_path / target)
        with pytest.raises(CacheError, match="is a symbolic link to nothing"):
            Cache(tmp_path / name)


def test_half_a_surrogate_pair_is_refused_and_nothing_is_written(cache: Cache):
    with pytest.raises(CacheError, match="surrogate"):
        cache.add(SETTINGS, [("\ud800", 0, Paraphrase("a"))])
    assert not Path(str(cache)).exists()


def test_a_write_that_fails_leaves_nothing(cache: Cache, monkeypatch: pytest.MonkeyPatch):
    cache.add(SETTINGS, [("first", 0, Paraphrase("a"))])
    before = sorted(Path(str(cache)).rglob("*"))

    def broken(*_args):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", broken)
        with pytest.raises(CacheError, match="Input/output error"):
            cache.add(SETTINGS, [("second", 0, Paraphrase("b"))])
    assert sorted(Path(str(cache)).rglob("*")) == before


def test_why_rows_are_not_there(cache: Cache):
    assert "is empty" in cache.explain(SETTINGS)
    cache.add(SETTINGS, [("text", 0, Paraphrase("other"))])
    cache.add({"method": "far", "other": 1}, [("text", 0, Paraphrase("other"))])
    assert "rate: 0.1 stored, 0.3 requested" in cache.explain(SETTINGS | {"rate": 0.3})
    assert "not for all texts" in cache.explain(SETTINGS)


def test_other_tools_read_it(cache: Cache):
    import pandas

    cache.add(SETTINGS, [("naïve 🙂\n", 0, Paraphrase("other", scores={"change_rate": 1.0}))])
    frame = pandas.read_parquet(Path(str(cache)) / fingerprint(SETTINGS))
    assert frame.loc[0, "source"] == "naïve 🙂\n" and frame.loc[0, "scores"][0]["value"] == 1.0


def test_a_pandas_that_cannot_be_imported_is_not_needed(tmp_path: Path):
    """As one that was built for another NumPy."""
    (tmp_path / "pandas.py").write_text("raise ValueError('numpy.dtype size changed')")
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from translation_cache import Cache, Paraphrase
print(Cache({str(tmp_path / "cache")!r}).add({SETTINGS}, [("text", 0, Paraphrase("other"))]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1\n", "")
