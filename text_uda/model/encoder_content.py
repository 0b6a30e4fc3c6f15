"""A digest of what an encoder is, whatever it is called: by a path, by the path of a copy, by a hub id."""

import hashlib
import json
from functools import partial
from pathlib import Path

from transformers.utils.hub import cached_file

from text_uda.hub_connection import is_local
from text_uda.model.pretrained import AVERAGING_NOTE, encoder_path
from translation_cache.file_digest import known_file_digest

# The files that decide the encoder and its tokens, of those that a folder or a hub repository can hold.
_CONFIGURATION = ("config.json", AVERAGING_NOTE)
_TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt"),
    *("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "spm.model"),
)
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")

_algorithm = partial(hashlib.blake2b, digest_size=16)


def encoder_digest(encoder: str) -> str | None:
    """32 hex digits over the files of an encoder; a copy of the folder has the same.

    Of several forms of the weights, it reads the one that transformers loads. A hub repository is downloaded.

    Args:
        encoder: a name, a folder or a hub id.
    Returns:
        None where there are no weights to read: loading the encoder says why.
    """
    path_of = partial(_file_of, encoder_path(encoder))
    weights = next((name for name in _WEIGHTS if path_of(name)), None)
    if weights is None:
        return None
    names = [*_CONFIGURATION, *_TOKENIZER, weights]
    if weights.endswith(".index.json"):
        index = json.loads(Path(str(path_of(weights))).read_text("utf-8"))
        names += sorted(set(index["weight_map"].values()))
    digest = _algorithm()
    for name in names:
        if (path := path_of(name)) is not None:
            digest.update(f"{name}:{known_file_digest(Path(path), _algorithm)} ".encode())
    return digest.hexdigest()


def _file_of(folder: str, name: str) -> str | None:
    try:
        return cached_file(
            folder,
            name,
            local_files_only=is_local(folder),
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    except OSError:  # no such folder or hub repository
        return None
