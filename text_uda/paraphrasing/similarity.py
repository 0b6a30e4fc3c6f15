"""The similarity of meaning of a source and its paraphrase: the cosine of their features from a sentence encoder.

It is computed once for each pair of texts and kept beside the rows of a cache, in CACHE/_scores/<digest>/, where
`encoder.json` says by which encoder; of a cache on an object store, in `home()`. They are computed in float32, so that
all machines agree, to rounding. The features themselves are in the store that training reads.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch.nn.functional import cosine_similarity

from text_uda.cache_dir import home
from text_uda.distributed import is_main
from text_uda.errors import SettingsError, UserError
from text_uda.model.cuda import default_device
from text_uda.model.encoder_content import encoder_digest
from text_uda.model.encoder_files import PACKAGED_ENCODER, load_config
from text_uda.model.feature_store import FeatureStore, features_folder, keys_of
from text_uda.model.frozen_encoder import FrozenEncoder
from text_uda.model.pretrained import AVERAGING_NOTE, averaging_note, load_classifier
from text_uda.progress import followed
from translation_cache import Cache
from translation_cache.atomic import whole_file
from translation_cache.joining import score_column
from translation_cache.scan import unique_rows

VERSION = 2  # of the computation: increase it when similarities change
_MAX_TOKENS, _KEEP_TOKENS = 256, "last"  # of a text, as in training by default
_PRECISION = "fp32"  # what "auto" takes depends on the machine, and bf16 moves a cosine by 0.001
_BLOCK = 4096  # rows in memory at a time
_NOTE = "encoder.json"
_COLUMNS = ("source", "paraphrase", "status")
QUANTILES = (0.05, 0.25, 0.5, 0.75)  # of a summary
BOUNDS = (0.7, 0.8, 0.9)

Pair = tuple[str, str]

log = logging.getLogger("text_uda")


class Similarity:
    """Of the pairs of texts of a cache, -1 to 1.

    Args:
        encoder: a name, a folder or a hub id, of a sentence encoder: features of others say little about meaning.
    Raises:
        SettingsError: the encoder cannot be opened; on computing, its features are no numbers.
    """

    def __init__(self, cache: Cache, encoder: str = PACKAGED_ENCODER) -> None:
        self.encoder = encoder
        self.folder = _scores_folder(cache) / digest_of(encoder)
        self._store = FeatureStore(self.folder)

    def compute(self, blocks: Iterable[Sequence[Pair]]) -> None:
        """Compute and keep the similarity of all pairs that have none, with a progress bar.

        Args:
            blocks: the pairs, those of a block in memory at a time; read twice.
        """
        missing = sum(len(self._new(pairs)) for pairs in blocks)
        if self.folder.exists():
            self._write_note()  # the earlier one may be damaged
        if not missing:
            return
        done = 0
        with followed(f"similarity ({self.encoder})", "pairs", shown=is_main()) as on_progress:
            for pairs in blocks:
                done += self._add(pairs, lambda count, done=done: on_progress(done + count, missing))
            on_progress(missing, missing)

    def of(self, pairs: Sequence[Pair]) -> np.ndarray:
        """The similarity of each pair, (N,) float64."""
        self._add(pairs)
        return self.known(pairs)

    def known(self, pairs: Sequence[Pair]) -> np.ndarray:
        """The similarity of each pair, (N,) float64; NaN where it was not computed yet."""
        values = torch.full((len(pairs), 1), torch.nan)
        self._store.take(_keys(pairs), values)
        return values[:, 0].double().numpy()

    def _new(self, pairs: Sequence[Pair]) -> list[Pair]:
        missing = np.flatnonzero(np.isnan(self.known(pairs)))
        return list(dict.fromkeys(pairs[index] for index in missing.tolist()))

    def _add(self, pairs: Sequence[Pair], on_done: Callable[[int], None] = lambda _: None) -> int:
        """Compute the new ones, and return how many.

        Args:
            on_done: called with the number of pairs that are done.
        """
        pairs = self._new(pairs)
        if not pairs:
            return 0
        self._write_note()
        texts = [text for pair in pairs for text in pair]
        rows = self._frozen.rows(texts, progress=lambda done, total: on_done(done * len(pairs) // total))
        features = rows.values.unflatten(0, (-1, 2))  # (N, 2, D)
        cosines = cosine_similarity(features[:, 0], features[:, 1], dim=-1)
        if not cosines.isfinite().all():
            source = pairs[int((~cosines.isfinite()).nonzero()[0, 0])][0]
            raise SettingsError(
                f"{self.encoder} gives {source[:60]!r}, or its paraphrase, features that are no numbers: use another "
                "encoder for the similarity"
            )
        self._store.add(_keys(pairs), cosines[:, None])
        return len(pairs)

    def _write_note(self) -> None:
        path = self.folder / _NOTE
        note = {"encoder": self.encoder, "digest": encoder_digest(self.encoder), "version": VERSION}
        note |= {"max_tokens": _MAX_TOKENS, "precision": _PRECISION}
        with suppress(OSError):  # a folder that cannot be written: the store keeps its values in memory, too
            if _read_note(path) != note:
                with whole_file(path) as unfinished:
                    unfinished.write_text(json.dumps(note, indent=1) + "\n", "utf-8")

    @cached_property
    def _frozen(self) -> FrozenEncoder:
        return _load(self.encoder)


def digest_of(encoder: str) -> str:
    """32 hex digits of everything that decides the similarities of texts by this encoder, wherever it lies.

    Raises:
        SettingsError: the encoder cannot be opened.
    """
    of_encoder = encoder_digest(encoder) or _load(encoder).digest  # without weights, loading it says why
    content = json.dumps([VERSION, of_encoder, _MAX_TOKENS, _KEEP_TOKENS]).encode("ascii")
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _load(encoder: str) -> FrozenEncoder:
    classes = list((load_config(encoder).id2label or {0: "any"}).values())  # of a head that is not used
    if averaging_note(encoder) is None:
        log.warning(
            "%s does not say that it is a sentence encoder (it has no %s): the features of others say little about "
            "meaning",
            *(encoder, AVERAGING_NOTE),
        )
    pretrained = load_classifier(encoder, classes, seed=0)
    return FrozenEncoder(
        pretrained.model.to(default_device()),  # pyright: ignore[reportArgumentType]  # a wrapped method
        pretrained.tokenizer,
        max_tokens=_MAX_TOKENS,
        keep_tokens=_KEEP_TOKENS,
        precision=_PRECISION,
        folder=features_folder(),
    )


@dataclass(frozen=True)
class _Pairs:
    """Blocks of the pairs of a table, which can be read several times."""

    rows: pa.Table
    statuses: tuple[str, ...]

    def __iter__(self) -> Iterator[list[Pair]]:
        for start in range(0, len(self.rows), _BLOCK):
            records = self.rows.slice(start, _BLOCK).to_pylist()
            yield [
                (row["source"], row["paraphrase"])
                for row in records
                if row["status"] in self.statuses and row["paraphrase"] is not None
            ]


def pairs_of(rows: pa.Table, statuses: Sequence[str] = ("ok",)) -> Iterable[list[Pair]]:
    """The pairs of a table of source, paraphrase and status, in blocks: those with one of these statuses."""
    return _Pairs(rows.select(_COLUMNS), tuple(statuses))


def summaries(cache: Cache, similarity: Similarity) -> list[dict[str, Any]]:
    """For each settings of the cache, the similarity and the share of words kept of its usable paraphrases.

    Computes the similarities that are not known yet. Quantiles and `words_kept` (a mean) are None without any.
    """
    compute_all(cache, similarity)
    return [
        {"fingerprint": fingerprint, "method": settings.get("method")} | _summary(cache, fingerprint, similarity)
        for fingerprint, settings in cache.settings().items()
    ]


def compute_all(cache: Cache, similarity: Similarity) -> None:
    """Compute the similarities of the usable paraphrases of a cache that are not known yet, with progress bars."""
    for fingerprint in cache.settings():
        similarity.compute(_OfSettings(cache, fingerprint))


def _summary(cache: Cache, fingerprint: str, similarity: Similarity) -> dict[str, Any]:
    values, kept = [np.empty(0)], [np.empty(0)]
    for _, table in unique_rows(cache, fingerprint, [*_COLUMNS, "scores"]):
        usable = table.filter(pc.field("status") == "ok")
        values += [similarity.known(pairs) for pairs in pairs_of(usable)]
        kept.append(1 - score_column(usable["scores"], "change_rate").drop_null().to_numpy())
    all_values, all_kept = np.concatenate(values), np.concatenate(kept)
    return {
        "paraphrases": len(all_values),
        "similarity": {
            f"{share:.0%}": float(np.quantile(all_values, share)) if len(all_values) else None for share in QUANTILES
        },
        "below": {f"{bound:g}": float(np.mean(all_values < bound)) if len(all_values) else 0.0 for bound in BOUNDS},
        "words_kept": float(all_kept.mean()) if len(all_kept) else None,
    }


@dataclass(frozen=True)
class _OfSettings:
    """Blocks of the usable pairs with these settings, which can be read several times."""

    cache: Cache
    fingerprint: str

    def __iter__(self) -> Iterator[list[Pair]]:
        for _, table in unique_rows(self.cache, self.fingerprint, list(_COLUMNS)):
            yield from pairs_of(table)


def recorded(cache: Cache) -> Iterator[Similarity]:
    """The similarities that are kept beside the cache, by each encoder that is here and still the same."""
    for note in sorted(_scores_folder(cache).glob(f"*/{_NOTE}")):
        encoder = _read_note(note).get("encoder")
        if not isinstance(encoder, str):
            log.warning(
                "%s is damaged: the similarities beside it are not shown; `text-uda cache similarity` with the same "
                "--similarity-encoder writes it again",
                note,
            )
            continue
        with suppress(UserError, OSError, ValueError, KeyError, TypeError):  # no such encoder here, or a damaged one
            if encoder_digest(encoder) is None:
                continue
            similarity = Similarity(cache, encoder)
            if similarity.folder == note.parent:
                yield similarity


def _read_note(path: Path) -> dict[str, Any]:
    """Empty if there is none or it is damaged."""
    with suppress(OSError, ValueError, RecursionError):
        if isinstance(note := json.loads(path.read_text("utf-8")), dict):
            return note
    return {}


def _scores_folder(cache: Cache) -> Path:
    return cache.scores_folder or home() / "scores"


def _keys(pairs: Sequence[Pair]) -> np.ndarray:
    return keys_of([f"{len(source)} {source}{paraphrase}" for source, paraphrase in pairs])
