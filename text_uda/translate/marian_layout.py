"""Which MarianMT checkpoints compute what they were trained to, by their configuration, vocabularies and weights.

transformers ignores fields that it no longer knows, weights that it has no place for, and a vocabulary file that
nothing asks for: such a checkpoint translates, and wrongly. Each check raises SettingsError with what is the matter.
"""

from typing import TYPE_CHECKING, Any

from text_uda.errors import SettingsError, listed
from text_uda.model import checkpoint_weights

if TYPE_CHECKING:
    from transformers import MarianMTModel, MarianTokenizer

# Fields of configurations of 2020, and the only value that MarianMT computes; null is as if absent. `add_bias_logits`
# and `extra_pos_embeddings` decide nothing: the bias is among the weights, and positions are sinusoids.
_FIXED = {
    "normalize_embedding": False,
    "normalize_before": False,
    "add_final_layer_norm": False,
    "static_position_embeddings": True,
}
_WITHOUT_EFFECT = {"model.encoder.version", "model.decoder.version"}  # weights of files of 2020


def check_configuration(name: str, config: Any) -> None:
    from transformers.activations import ACT2FN

    if config.model_type != "marian":
        raise SettingsError(f"{name!r} is a {config.model_type} model, not a MarianMT one")
    for field, computed in _FIXED.items():
        if getattr(config, field, None) not in (None, computed):
            raise SettingsError(
                f"{name!r} was trained with {field}={not computed}, which transformers does not compute for MarianMT: "
                "choose another model"
            )
    if config.activation_function not in ACT2FN:
        raise SettingsError(
            f"{name!r} has the activation {config.activation_function!r}, which transformers does not know: correct "
            "activation_function in its config.json"
        )
    for field in ("pad_token_id", "eos_token_id", "decoder_start_token_id"):
        token = getattr(config, field)
        if type(token) is not int or not 0 <= token < min(config.vocab_size, target_size(config)):
            raise SettingsError(f"{name!r} has {field}={token}: in its config.json it must be the number of a token")


def target_size(config: Any) -> int:
    """The number of tokens of the decoder."""
    return config.vocab_size if config.share_encoder_decoder_embeddings else config.decoder_vocab_size


def check_vocabularies(name: str, config: Any, tokenizer: "MarianTokenizer") -> None:
    separate = tokenizer.separate_vocabs
    if not separate and tokenizer.init_kwargs.get("target_vocab_file"):
        raise SettingsError(
            f'{name!r} has a target_vocab.json, and its tokenizer_config.json does not say "separate_vocabs": true: '
            "without it, its translations are read by the wrong vocabulary"
        )
    if separate and config.share_encoder_decoder_embeddings:
        raise SettingsError(
            f"{name!r} has separate vocabularies, and its config.json says share_encoder_decoder_embeddings: its files "
            "do not belong together"
        )
    source, target = source_numbers(tokenizer), target_numbers(tokenizer)
    for file, vocabulary, size in (
        ("vocab.json", source, config.vocab_size),
        ("target_vocab.json" if separate else "vocab.json", target, target_size(config)),
    ):
        for token, number in vocabulary.items():
            if type(number) is not int or not 0 <= number < size:
                raise SettingsError(
                    f"{file} of {name!r} gives the token {token!r} the number {number!r:.60}, and the weights have the "
                    f"rows 0 to {size - 1:,}: they do not belong together"
                )
    end, pad, unknown = (str(token) for token in (tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token))
    for token, number in ((end, config.eos_token_id), (pad, config.pad_token_id), (unknown, source[unknown])):
        numbers = dict.fromkeys((number, source.get(token), target.get(token)))
        if len(numbers) > 1:
            raise SettingsError(
                f"{name!r} gives the token {token} different numbers in its config.json and its vocabularies "
                f"({listed(numbers)}): they do not belong together"
            )


def source_numbers(tokenizer: "MarianTokenizer") -> dict[str, int]:
    """The id of each token that a source can have."""
    return tokenizer.get_src_vocab()


def target_numbers(tokenizer: "MarianTokenizer") -> dict[str, int]:
    """The id of each token that a translation can have."""
    of_translations: Any = tokenizer.target_encoder if tokenizer.separate_vocabs else tokenizer.encoder
    return {**tokenizer.added_tokens_encoder, **of_translations}


def check_weights(name: str, model: "MarianMTModel", loading: dict[str, Any]) -> None:
    """Check the loaded weights.

    Args:
        loading: `output_loading_info` of transformers.
    """
    unused = set(loading["unexpected_keys"]) - _WITHOUT_EFFECT
    checkpoint_weights.check_weights(repr(name), model, missing=loading["missing_keys"], unused=unused)
