"""What holds for all contents: a cache is a set of rows; no merging, compaction or interruption shows."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from contents import content
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jobs import Upper

from translation_cache import (
    Cache,
    Paraphrase,
    compact,
    digest,
    fill,
    join,
    lookup,
    merge,
    missing,
    row_key,
    stats,
    verify,
)
from translation_cache.key import fingerprint, row_keys
from translation_cache.keyset import KeySet

quickly = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))

TEXTS = st.sampled_from(["", "a", "b", "x", "naïve 🙂", "\n\t\0", "e\u0301", "שלום", "long " * 500])
MADE = st.builds(
    Paraphrase,
    text=TEXTS,
    status=st.sampled_from(["ok", "numbers"]),
    pivot=st.none() | TEXTS,
    scores=st.dictionaries(st.sampled_from(["change_rate", "other"]), st.floats(0, 1), max_size=2),
)
ROWS = st.lists(st.tuples(TEXTS, st.integers(0, 2), MADE), max_size=6)
SHARDS = st.lists(ROWS, max_size=4)
SETTINGS = {"method": "test"}


def filled(folder: Path, shards: Sequence[list]) -> Cache:
    cache = Cache(folder)
    for rows in shards:
        cache.add(SETTINGS, rows)
    return cache


@pytest.fixture
def new(tmp_path_factory: pytest.TempPathFactory):
    return lambda: tmp_path_factory.mktemp("caches") / "cache"


@given(SHARDS, SHARDS, SHARDS)
@quickly
def test_merging_is_the_union_of_sets(new, one, other, third):
    a, b, c = (filled(new(), shards) for shards in (one, other, third))
    ab, ba, left, right, twice = (Cache(new()) for _ in range(5))
    merge(ab, a, b)
    merge(ba, b, a)
    assert content(ab) == content(ba), "commutative"
    merge(left, ab, c)
    bc = Cache(new())
    merge(bc, b, c)
    merge(right, a, bc)
    assert content(left) == content(right), "associative"
    before = content(ab)
    merge(ab, ab, a)
    merge(twice, a)
    assert content(ab) == before and content(twice) == content(a), "idempotent, with the empty cache as its unit"
    assert {row[1] for row in content(ab)} == {row[1] for row in [*content(a), *content(b)]}


@given(SHARDS, SHARDS)
@quickly
def test_compaction_changes_no_content_and_ends_in_the_same_files(new, one, other):
    a, b = filled(new(), [*one, *other]), filled(new(), [*other, *one])
    before = content(a)
    compact(a)
    compact(b)
    assert content(a) == content(b) == before and verify(a)["damaged"] == []
    marks = a.fingerprints()
    names = [[file.name for mark in marks for file in cache.shards(mark)] for cache in (a, b)]
    assert names[0] == names[1] and len(names[0]) <= 1
    assert stats(a)["rows"] == len(before) == sum(len(a.table(mark, name)) for mark in marks for name in names[0])
    compact(a)
    assert [file.name for mark in marks for file in a.shards(mark)] == names[0]
    merge(a, b)
    assert content(a) == before


@given(SHARDS, st.lists(TEXTS, max_size=5))
@quickly
def test_asked_in_bulk_or_one_by_one(new, shards, sources):
    cache = filled(new(), shards)
    found = lookup(cache, SETTINGS, sources, samples=3)
    joined = join(
        cache, SETTINGS, sources, samples=3, columns=("paraphrase", "status", "pivot"), scores=("other",)
    ).to_pylist()
    gone = {(row["source"], row["sample"]) for row in missing(cache, SETTINGS, sources, samples=3).rows.to_pylist()}
    by_key = {row[1]: row for row in content(cache)}
    for place, source in enumerate(sources):
        for sample in range(3):
            there = by_key.get(row_key(fingerprint(SETTINGS), source, sample))
            made = found[place][sample]
            taken = joined[place * 3 + sample]
            assert ((source, sample) in gone) == (there is None) == (made is None) == (taken["status"] is None)
            if there is not None and made is not None:
                assert (made.text, made.pivot, made.status) == (there[4], there[5], there[6])
                assert (taken["paraphrase"], taken["pivot"], taken["status"]) == (there[4], there[5], there[6])
                assert taken["other"] == made.scores.get("other")


@given(
    st.lists(st.tuples(st.integers(0, 29), st.integers(1, 30), st.integers(0, 12), st.booleans()), max_size=5),
    st.integers(1, 3),
)
@quickly
def test_interrupted_anywhere_it_goes_on_to_the_same(new, runs, samples):
    texts = [f"text {number}" for number in range(30)]
    whole, cut = Cache(new()), Cache(new())
    fill(whole, Upper(), texts, samples=samples)

    class Stopping(Upper):
        def __call__(self, sources, samples):
            nonlocal calls
            calls -= 1
            if calls < 0:
                raise KeyboardInterrupt
            return Upper.__call__(self, sources, samples)

    for start, length, stop_after, compacted in runs:
        calls = stop_after
        with contextlib.suppress(KeyboardInterrupt):
            fill(cut, Stopping(), texts[start : start + length], samples=samples, batch_size=3, commit_every_s=0)
        if compacted:
            compact(cut)
    present = len(content(cut))
    report = fill(cut, Upper(), texts, samples=samples)
    assert (report.present, report.computed) == (present, 30 * samples - present)
    assert content(cut) == content(whole) and digest(cut, Upper().settings()) == digest(whole, Upper().settings())


KEYS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=20)


@given(KEYS, KEYS)
@example([(1, 1), (1, 2), (1, 1), (0, 3)], [(1, 2), (1, 3), (1, 0)])
@quickly
def test_keys_are_found_also_where_they_share_64_bits(keys, others):
    given_keys, asked = (np.array(each, dtype=np.uint64).reshape(-1, 2) for each in (keys, others))
    found = KeySet(given_keys)
    unique = sorted(set(keys))
    assert len(found) == len(unique)
    assert [unique[place] for place in found.inverse] == keys
    assert found.first().tolist() == [keys.index(key) for key in unique]
    assert found.find(asked).tolist() == [unique.index(key) if key in unique else -1 for key in others]


@given(st.lists(st.text(max_size=20), max_size=20), st.integers(0, 5))
@quickly
def test_keys_in_bulk_are_the_keys_one_by_one(sources, sample):
    mark = fingerprint(SETTINGS)
    one_by_one = b"".join(row_key(mark, source, sample) for source in sources)
    first, keys = row_keys(mark, sources, [7, sample])
    assert keys.astype(">u8").tobytes() == one_by_one and len(first) == len(sources)
