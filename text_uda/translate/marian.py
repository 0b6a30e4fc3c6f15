"""MarianMT on torch: any `Helsinki-NLP/opus-mt-*` pair or a folder of one, greedy, sampled or with beams.

A sample does not depend on its batch: the token of each step is taken from the model's distribution by uniform
numbers that are a hash of (settings, sentence, draw, step), see `choose`. So in float32 a sentence gets the same tokens
alone, in any batch, in another order and on any number of workers. In bfloat16, float16 and int8 the batch's shape
changes more than the last bits of the logits, and now and then a token: there that holds only for the same sentences in
the same call.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np

from text_uda.keyed_random import keyed_generator
from text_uda.translate import device, marian_checkpoint
from text_uda.translate.decoding import Decoding, Output, decode
from text_uda.translate.marian_network import Precision
from text_uda.translate.token_sampling import DRAWS
from text_uda.translate.translator import Translation

VERSION = 2  # of the decoding: a change of what it makes is a new number


@dataclass(frozen=True)
class Marian:
    """One direction: a hub id or a folder of a MarianMT model, `>>fr<<` after it where it speaks several languages."""

    model: str
    decoding: Decoding = field(default_factory=Decoding)
    precision: Precision = "float32"
    """bfloat16 is faster on a GPU and on a CPU with AMX, int8 on any CPU."""

    def __post_init__(self) -> None:
        marian_checkpoint.check_precision(self.precision, get_args(Precision))

    @property
    def block(self) -> int:
        return device.block()

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
        """Raises SettingsError where the model cannot be opened. What overflows (float16) is `failed`."""
        rows_of = rows_by_sentence(sentences)
        vocabulary = marian_checkpoint.vocabulary(self.model)
        sources = vocabulary.encode(list(rows_of))
        made = [Translation("", "empty")] * len(sentences)
        todo = [(source, rows) for source, rows in zip(sources, rows_of.values(), strict=True) if source.tokens]
        if not todo:
            return made
        network, budget = marian_checkpoint.network(self.model, device.torch_device(), self.precision)
        key = self.settings()
        key = [key[name] for name in sorted(key)]

        def work(batch: list[int]) -> list[Output]:
            chosen = [todo[number] for number in batch]
            asked = [(at, row) for at, (_, rows) in enumerate(chosen) for row in rows]
            caps = [marian_checkpoint.most_tokens(len(chosen[at][0].tokens), network.positions) for at, _ in asked]
            numbers = None
            if self.decoding.temperature is not None:
                of_rows = (keyed_generator(*key, sentences[row], draws[row]) for _, row in asked)
                numbers = np.stack([generator.random((max(caps), DRAWS)) for generator in of_rows])
            return decode(
                network,
                [source.tokens for source, _ in chosen],
                [at for at, _ in asked],
                caps,
                self.decoding,
                uniform=numbers,
                hypotheses=[draws[row] % self.decoding.beams for _, row in asked],
            )

        lengths = [len(source.tokens) for source, _ in todo]
        for batch, outputs in budget.run(lengths, [len(rows) for _, rows in todo], work):
            asked = ((todo[number][0], row) for number in batch for row in todo[number][1])
            for (source, row), output in zip(asked, outputs, strict=True):
                made[row] = vocabulary.translation(*output, cut=source.cut)
        return made


def rows_by_sentence(sentences: Sequence[str]) -> dict[str, list[int]]:
    """Each sentence once, with the places where it stands."""
    found: dict[str, list[int]] = {}
    for row, sentence in enumerate(sentences):
        found.setdefault(sentence, []).append(row)
    return found
