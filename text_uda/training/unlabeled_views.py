"""The unlabeled rows of a run and the source of their second view: a cache, the training step, or other dropout."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from text_uda import distributed
from text_uda.data import Split
from text_uda.data.row_columns import plain_texts
from text_uda.errors import SettingsError
from text_uda.objectives import Needs
from text_uda.paraphrasing.cache_access import read_paraphrases
from text_uda.paraphrasing.filters import Filters
from text_uda.paraphrasing.pairs import MakeRows, Originals, Pairs, pair_table
from text_uda.runs.directory import RunDirectory
from text_uda.training.in_step_augmentation import InStep, OnEmbeddings, OnTokens, check_in_step
from text_uda.training.settings import TrainSettings
from translation_cache import Cache, Job
from translation_cache.atomic import write_whole

_NEEDS_PAIRS = (
    "a consistency objective needs pairs: pass an augmentation and the cache that it filled, or an augmentation that "
    "works in the training step (Cutoff, SwitchOut)"
)

EXAMPLES = 200  # texts whose pairs the run directory keeps for reading


@dataclass(frozen=True)
class Views:
    """The unlabeled rows of a run."""

    texts: Sequence[str]

    method: str | None = None
    """Of the augmentation; None where the second view is the original one with other dropout."""

    pairs: pa.Table | None = None
    """With `pairs.SCHEMA`, where a cache holds the second view."""

    in_step: InStep | None = None
    """The augmentation that makes the second view in the training step."""

    def write_examples(self, directory: RunDirectory) -> None:
        """Write examples.jsonl, the first texts with their first paraphrase, where a cache holds them."""
        if self.pairs is None:
            return
        first = self.pairs.filter((pc.field("sample") == 0) & (pc.field("text") < EXAMPLES))
        examples = first.select(["source", "paraphrase", "status", "pivot"]).to_pylist()
        lines = (json.dumps(example | {"method": self.method}, ensure_ascii=False) + "\n" for example in examples)
        write_whole(directory.path / "examples.jsonl", "".join(lines))

    def rows(self, make_rows: MakeRows) -> Pairs | Originals:
        if self.pairs is None:
            return Originals(self.texts, make_rows)
        return Pairs(self.pairs, make_rows, method=self.method or "")


def find_views(
    split: Split,
    needs: Needs,
    augmentation: Job | InStep | None,
    cache: Cache | None,
    filters: Filters | None,
    settings: TrainSettings,
    *,
    drops_columns: bool = False,
) -> Views | None:
    """The unlabeled rows that the objectives need; None where they need none.

    Args:
        drops_columns: column dropout makes the second view, with an augmentation or alone.

    Raises:
        SettingsError: the objectives need an augmentation or unlabeled texts that are missing, or the augmentation does
            not work with these settings.
    """
    if not needs.unlabeled_rows:
        return None
    if augmentation is None and needs.augmentation and not drops_columns:
        raise SettingsError(_NEEDS_PAIRS)
    if not split.unlabeled:
        raise SettingsError("there are no unlabeled texts; request fewer labels or pass a file of unlabeled texts")
    if augmentation is None or not needs.second_view:
        return Views(split.unlabeled)
    method = str(augmentation.settings()["method"])
    if cache is not None:
        if not isinstance(augmentation, Job):
            raise SettingsError(f"{method} is not a translation_cache.Job, so it cannot use a cache; omit the cache")
        texts = plain_texts(split.unlabeled)
        read = partial(read_paraphrases, texts, augmentation, cache, samples=settings.samples, filters=filters)
        if filters is not None and filters.min_similarity is not None and distributed.processes() > 1:
            distributed.on_main(lambda: bool(read()))  # computes the similarities, which all processes then read
        return Views(texts, method, pairs=pair_table(texts, read()))
    if not isinstance(augmentation, OnTokens | OnEmbeddings):
        raise SettingsError(f"{_NEEDS_PAIRS}; {method} generates paraphrases offline")
    check_in_step(augmentation, settings, filters)
    return Views(split.unlabeled, method, in_step=augmentation)
