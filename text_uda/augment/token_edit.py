"""The base of the augmentations that replace tokens of a vocabulary, offline in texts or on the ids in training."""

import unicodedata
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from text_uda.augment.vocabulary import Groups, load_vocabulary
from text_uda.augment.words import Edit, apply_edits
from text_uda.keyed_random import Draws, Key
from text_uda.text.sentences import change_rate
from translation_cache import Job, Paraphrase, fingerprint


@dataclass(frozen=True, kw_only=True)
class TokenEdit(Job):
    """A subclass names its method and version, defines `replacements`, and adds its further fields to `settings`."""

    method: ClassVar[str]
    version: ClassVar[int]
    """Of the algorithm. A change of the output needs a new version."""

    tokenizer: str = "minilm-l6"
    """The encoder whose tokens are replaced: a hub id, a folder or the packaged one."""

    seed: int = 0
    """Offline; in the training step the seed of the training decides."""

    @abstractmethod
    def replacements(self, ids: Sequence[int], groups: Groups, draws: Draws) -> Mapping[int, int]:
        """The positions to replace, in order, with the new id of each.

        Args:
            groups: which ids can replace each other in a text.
        """

    def settings(self) -> dict[str, Any]:
        """Raises SettingsError if the tokenizer cannot be opened."""
        fields = {"seed": self.seed, "tokenizer": load_vocabulary(self.tokenizer).digest}
        return {"method": self.method, "version": self.version, "unit": "text"} | fields

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        """The score token_rate is the share of the tokens that was replaced.

        The key of the draws is (settings, source, sample). Raises SettingsError if the tokenizer cannot be opened.
        """
        known, key = load_vocabulary(self.tokenizer), Key(fingerprint(self.settings()))
        encoded = known.tokenizer(list(sources), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        paraphrases = []
        for source, sample, ids, offsets in zip(
            sources, samples, encoded["input_ids"], encoded["offset_mapping"], strict=True
        ):
            replacements = self.replacements(ids, known.groups, key.draws(source, sample))
            next_starts = [start for start, _ in offsets[1:]] + [len(source)]
            edits = [
                _replace_token(source, offsets[position], next_starts[position], known.texts[token])
                for position, token in replacements.items()
            ]
            text = apply_edits(source, edits)
            scores = {"change_rate": change_rate(source, text), "token_rate": len(replacements) / max(1, len(ids))}
            paraphrases.append(Paraphrase(text, "unchanged" if text == source else "ok", scores=scores))
        return paraphrases


def _replace_token(source: str, span: tuple[int, int], next_start: int, new: str) -> Edit:
    """Replace the characters of a token, not the space before it and with the accent on its last letter.

    Some tokenizers count that space as part of the token, and some leave the accent out. Others have a token for the
    accent: then it starts at `next_start` and stays.
    """
    start, end = span
    while start < end and source[start].isspace():
        start += 1
    while end < next_start and unicodedata.category(source[end]).startswith("M"):
        end += 1
    return Edit(start, end, new)
