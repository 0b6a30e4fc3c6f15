"""The store of paraphrases: immutable Parquet shards, keyed by content, that any number of processes may fill.

It knows nothing of torch or of text_uda: a job makes the paraphrases, the cache keeps them.
"""

from translation_cache.audit import show, stats, verify
from translation_cache.compact import compact
from translation_cache.errors import CacheError
from translation_cache.fill import FillReport, fill
from translation_cache.job import Job, Paraphrase, check_job
from translation_cache.join import join
from translation_cache.key import fingerprint, row_key
from translation_cache.lookup import digest, lookup, missing, rows
from translation_cache.mapped import mapped_table
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
