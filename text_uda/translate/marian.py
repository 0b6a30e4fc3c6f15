"""MarianMT on torch: any `Helsinki-NLP/opus-mt-*` pair from the hub or a folder; greedy, sampling or beam search.

A sample does not depend on its batch: uniform numbers from a hash of (settings, sentence, draw, step) select each token
from the model's distribution, see `token_sampling`. So in float32 a sentence gets the same tokens alone, in any batch,
in any order and with any number of workers. In bfloat16, float16 and int8 the shape of the batch changes more than the
last bits of the logits, and occasionally a token: there only a call with the same sentences gives the same tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np

from text_uda.keyed_random import keyed_generator
from text_uda.translate import marian_checkpoint
from text_uda.translate.decoding import DecodedTokens, Decoding, decode
from text_uda.translate.device import WorkerShare
from text_uda.translate.marian_network import Precision
from text_uda.translate.token_sampling import DRAWS
from text_uda.translate.translator import Translation

VERSION = 3  # of the decoding: increase it when outputs change


@dataclass(frozen=True)
class Marian:
    """One direction: the hub id or the folder of a MarianMT model, plus `>>fr<<` if it has several target languages."""

    model: str
    decoding: Decoding = field(default_factory=Decoding)
    precision: Precision = "float32"
    """bfloat16 is faster on a GPU and on a CPU with AMX, int8 on any CPU."""
    share: WorkerShare = field(default_factory=WorkerShare, kw_only=True, compare=False, repr=False)
    """Of the machine; it changes no translation."""

    def __post_init__(self) -> None:
        marian_checkpoint.check_precision(self.precision, get_args(Precision))

    @property
    def block(self) -> int:
        return self.share.block()

    @property
    def draws(self) -> int | None:
        return self.decoding.outputs

    def settings(self) -> dict[str, Any]:
        named = {
            "engine": "marian",
            "version": VERSION,
            **marian_checkpoint.identity(self.model),
            "precision": self.precision,
        }
        return named | self.decoding.settings()

    def __call__(self, sentences: Sequence[str], draws: Sequence[int]) -> list[Translation]:
        """Raises SettingsError if the model cannot be opened. A float16 overflow gives the status `failed`."""
        rows_of = rows_by_sentence(sentences)
        vocabulary = marian_checkpoint.vocabulary(self.model)
        sources = vocabulary.encode(list(rows_of))
        translations = [Translation("", "empty")] * len(sentences)
        todo = [(source, rows) for source, rows in zip(sources, rows_of.values(), strict=True) if source.tokens]
        if not todo:
            return translations
        network, budget = marian_checkpoint.network(self.model, self.share.torch_device(), self.precision)
        settings = self.settings()
        key = [settings[name] for name in sorted(settings)]

        def work(batch: list[int]) -> list[DecodedTokens]:
            batch_sources = [todo[number] for number in batch]
            pairs = [(place, row) for place, (_, rows) in enumerate(batch_sources) for row in rows]
            caps = [
                marian_checkpoint.most_tokens(len(batch_sources[place][0].tokens), network.positions)
                for place, _ in pairs
            ]
            uniform = None
            if self.decoding.temperature is not None:
                generators = (keyed_generator(*key, sentences[row], draws[row]) for _, row in pairs)
                uniform = np.stack([generator.random((max(caps), DRAWS)) for generator in generators])
            with budget.exclusive():
                return decode(
                    network,
                    [source.tokens for source, _ in batch_sources],
                    [place for place, _ in pairs],
                    caps,
                    self.decoding,
                    uniform=uniform,
                    hypotheses=[draws[row] % self.decoding.beams for _, row in pairs],
                )

        lengths = [len(source.tokens) for source, _ in todo]
        rows_of_source = [budget.rows(len(rows), beams=self.decoding.beams) for _, rows in todo]
        for batch, outputs in budget.run(lengths, rows_of_source, work):
            pairs = ((todo[number][0], row) for number in batch for row in todo[number][1])
            for (source, row), output in zip(pairs, outputs, strict=True):
                translations[row] = vocabulary.translation(*output, cut=source.cut)
        return translations


def rows_by_sentence(sentences: Sequence[str]) -> dict[str, list[int]]:
    """The indices of each distinct sentence."""
    rows_of: dict[str, list[int]] = {}
    for row, sentence in enumerate(sentences):
        rows_of.setdefault(sentence, []).append(row)
    return rows_of
