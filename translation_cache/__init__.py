"""The store of paraphrases: immutable Parquet shards, keyed by content, that any number of processes can fill.

A job computes the paraphrases, the cache stores them. The package imports neither torch nor text_uda.
"""

from translation_cache.audit import show, stats, verify
from translation_cache.compaction import compact
from translation_cache.errors import CacheError
from translation_cache.filling import FillReport, fill
from translation_cache.job import Job, Paraphrase, check_job
from translation_cache.joining import join
from translation_cache.key import fingerprint, row_key
from translation_cache.mapped import mapped_table
from translation_cache.queries import count_others, digest, lookup, missing, rows
from translation_cache.reshape import export, merge
from translation_cache.store import Cache

__all__ = [
    "Cache",
    "CacheError",
    "FillReport",
    "Job",
    "Paraphrase",
    "check_job",
    "compact",
    "count_others",
    "digest",
    "export",
    "fill",
    "fingerprint",
    "join",
    "lookup",
    "mapped_table",
    "merge",
    "missing",
    "row_key",
    "rows",
    "show",
    "stats",
    "verify",
]
