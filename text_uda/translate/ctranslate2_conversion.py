"""Converts a MarianMT checkpoint for CTranslate2. It imports CTranslate2, which is optional.

The weights and the vocabularies are the ones that `marian:` uses, after the same checks. CTranslate2's own converter
opens them anew, takes one vocabulary for both languages, and does not say what it leaves out. The parts of it that are
used here are private, so the releases that this works with are bounded (pyproject.toml), and their result is checked.
"""

from pathlib import Path
from typing import Any

from ctranslate2.converters.transformers import _SUPPORTED_ACTIVATIONS, MarianMTLoader
from transformers import MarianMTModel

from text_uda.errors import SettingsError, listed
from text_uda.translate.marian_checkpoint import Vocabulary
from text_uda.translate.marian_layout import target_size


def convert(name: str, model: MarianMTModel, vocabulary: Vocabulary, folder: Path, precision: str) -> None:
    """Write the converted model into `folder`.

    Raises:
        SettingsError: CTranslate2 would compute something else.
        ValueError: its converter does not do what this was written for.
    """
    check(name, model)
    config: Any = model.config
    loader = _Loader()
    spec: Any = loader.get_model_spec(model)
    loader.set_config(spec.config, model, vocabulary.tokenizer)
    # Without <pad>, which only starts a translation (CTranslate2 has a zero vector for that), and rows without a token.
    target = {number: name for name, number in vocabulary.target_numbers.items()}
    sources, targets = (
        [number for number in sorted(tokens) if number != config.pad_token_id]
        for tokens in (vocabulary.source_tokens, target)
    )
    for table, size in (
        (spec.encoder.embeddings[0], config.vocab_size),
        (spec.decoder.embeddings, target_size(config)),
        (spec.decoder.projection, target_size(config)),
    ):
        if len(table.weight) != size:
            raise ValueError(f"its converter gives a table {len(table.weight):,} rows instead of {size:,}")
    spec.encoder.embeddings[0].weight = spec.encoder.embeddings[0].weight[sources]
    for table in (spec.decoder.embeddings, spec.decoder.projection):
        table.weight = table.weight[targets]
    if spec.decoder.projection.has_bias():
        spec.decoder.projection.bias = spec.decoder.projection.bias[targets]
    spec.register_source_vocabulary([vocabulary.source_tokens[number] for number in sources])
    spec.register_target_vocabulary([target[number] for number in targets])
    spec.validate()
    spec.optimize(quantization=precision)
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))


def check(name: str, model: MarianMTModel) -> None:
    """Check that CTranslate2 has what the model needs."""
    config: Any = model.config
    instead = "translate with marian: instead of ctranslate2:"
    if config.activation_function not in _SUPPORTED_ACTIVATIONS:
        raise SettingsError(
            f"CTranslate2 lacks the activation {config.activation_function!r} of {name!r} (it has "
            f"{listed(sorted(_SUPPORTED_ACTIVATIONS))}): {instead}"
        )
    if config.encoder_attention_heads != config.decoder_attention_heads:
        raise SettingsError(
            f"{name!r} has {config.encoder_attention_heads} attention heads in its encoder and "
            f"{config.decoder_attention_heads} in its decoder, and CTranslate2 has one number for both: {instead}"
        )
    if model.model.decoder.embed_tokens.weight[config.decoder_start_token_id].any():
        raise SettingsError(
            f"{name!r} starts a translation with a token whose vector is not zero, which CTranslate2 takes it for: "
            f"{instead}"
        )


class _Loader(MarianMTLoader):
    def _remove_pad_weights(self, spec: Any) -> None:
        """Nothing: the one that is inherited removes the last row, for two vocabularies of one size."""
