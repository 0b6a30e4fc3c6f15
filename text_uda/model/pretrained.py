"""Loads encoders: the tokenizer, the model with a head, new weights, and the choice of trained weights.

Sentence encoders (such as all-MiniLM) get an averaging layer (`averaging_layer`) and a linear head (`linear_head`).
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.hub import cached_file

from text_uda.errors import SettingsError
from text_uda.hub_connection import is_local
from text_uda.keyed_random import keyed_seed
from text_uda.model.averaging_layer import append_averaging_layer, restore_averaging_layer
from text_uda.model.bit_dropout import use_bit_dropout
from text_uda.model.capabilities import check_rows_are_independent
from text_uda.model.classifier import PADDED_LEFT, depth, layers, shares_layers
from text_uda.model.encoder_files import check_weights, encoder_path, load_config, load_tokenizer, open_part
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.linear_head import can_be_linear, is_saved_linear, make_linear
from text_uda.model.packing import pack

log = logging.getLogger("text_uda")

AVERAGING_NOTE = "1_Pooling/config.json"  # where sentence-transformers says how an encoder's tokens are pooled


@dataclass(frozen=True)
class Pretrained:
    """A model, which is an encoder with a head, and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


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
        SettingsError: the encoder does not exist, its files are incomplete or damaged, it has fewer layers, it is a
            classifier of other classes, or its logits depend on the other rows of a batch.
    """
    tokenizer = _load_padding_tokenizer(encoder)
    _check_classes(encoder, classes)
    labels = dict(enumerate(classes))
    with seeded_torch(seed):
        model, loading = open_part(
            AutoModelForSequenceClassification.from_pretrained,
            encoder,
            id2label=labels,
            label2id={name: index for index, name in labels.items()},
            num_labels=len(labels),
            dtype=torch.float32,
            output_loading_info=True,
            **_attention_fields(encoder),
            **_dropout_fields(encoder, dropout),
        )
    check_weights(encoder, model, loading)
    _check_vocabulary(encoder, model, tokenizer)
    limit_tokens(tokenizer, max_positions(model))
    if hasattr(model.config, "use_mems_eval"):  # XLNet's memories of earlier texts break batches of `pipeline`
        model.config.use_mems_eval = False
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
    use_bit_dropout(model)
    pack(model)
    check_rows_are_independent(model, tokenizer)
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
        model, loading = open_part(
            AutoModelForMaskedLM.from_pretrained,
            encoder,
            dtype=torch.float32,
            output_loading_info=True,
            **_attention_fields(encoder),
        )
    check_weights(encoder, model, loading)
    _check_vocabulary(encoder, model, tokenizer)
    limit_tokens(tokenizer, max_positions(model))
    use_bit_dropout(model)
    pack(model)
    return Pretrained(model, tokenizer), _has_new_head(model, loading)


def load_pooler(encoder: str) -> nn.Module | None:
    """The pretrained pooler, which masked-language models drop; None without one."""
    with seeded_torch(0):
        model, loading = open_part(AutoModel.from_pretrained, encoder, dtype=torch.float32, output_loading_info=True)
    is_new = any(name.startswith("pooler.") for name in loading["missing_keys"])
    return None if is_new else getattr(model, "pooler", None)


def gets_linear_head(encoder: str) -> bool:
    """Whether this is a sentence encoder, which always gets an averaging layer and a linear head."""
    model_type = load_config(encoder).model_type
    return model_type == "bert" and averaging_note(encoder) is not None


def averaging_note(encoder: str) -> str | None:
    """The content of `AVERAGING_NOTE` if it says that the encoder's tokens are averaged; else None."""
    folder = encoder_path(encoder)
    path = cached_file(
        folder, AVERAGING_NOTE, local_files_only=is_local(folder), _raise_exceptions_for_missing_entries=False
    )
    if path is None:
        return None
    note = Path(path).read_text("utf-8")
    pooling = json.loads(note)
    averages = bool(pooling.get("pooling_mode_mean_tokens")) or pooling.get("pooling_mode") == "mean"
    return note if averages else None


def hidden_width(encoder: str) -> int | None:
    """The width of the hidden states; None if the configuration does not name it."""
    return getattr(load_config(encoder), "hidden_size", None)


def max_positions(model: PreTrainedModel) -> int | None:
    """The tokens that the model has positions for; None if it has no table of positions, like XLNet.

    Models whose positions start after the position of the pad token (RoBERTa, MPNet, Longformer, CamemBERT) mark it as
    `padding_idx` of their table.
    """
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    first = getattr(table, "padding_idx", None)
    if isinstance(table, nn.Embedding) and first is not None:
        return table.num_embeddings - first - 1
    positions = getattr(model.config, "max_position_embeddings", None)
    return positions if positions is not None and positions > 0 else None


def limit_tokens(
    tokenizer: PreTrainedTokenizerBase, tokens: int | None, keep: Literal["first", "last"] | None = None
) -> None:
    """Lower the tokens that the tokenizer truncates a text to, and set which ones it keeps.

    `model_max_length` and `truncation_side` are saved with the tokenizer, so a saved model reads what it was trained
    to read in any program.
    """
    if tokens is not None:
        tokenizer.model_max_length = min(tokenizer.model_max_length, tokens)
    if keep is not None:
        tokenizer.truncation_side = "left" if keep == "last" else "right"


def limit_to_settings(tokenizer: PreTrainedTokenizerBase, max_tokens: int, keep: Literal["first", "last"]) -> None:
    """`limit_tokens` to the settings of a run; warns where the encoder reads fewer tokens than they ask for."""
    check_room(tokenizer, max_tokens)
    limit = tokenizer.model_max_length
    if limit < max_tokens:
        log.warning("the encoder reads %d tokens at most: max_tokens=%d is lowered", limit, max_tokens)
    limit_tokens(tokenizer, max_tokens, keep)


def check_room(tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> None:
    """Raise SettingsError where the tokens that the encoder adds to a text leave no room for it."""
    added = tokenizer.num_special_tokens_to_add()
    if max_tokens <= added:
        raise SettingsError(
            f"max_tokens={max_tokens}: the encoder adds {added} tokens to each text, which leave no room for it; give "
            f"{added + 1} or more"
        )


def check_tune(encoder: str, tune: str) -> None:
    """Raise SettingsError where the encoder lacks the layers that `tune` trains; reads its configuration alone."""
    config = load_config(encoder)
    if not tune.startswith("last:"):
        return
    if shares_layers(config):
        raise _shared_layers(tune, config.model_type)
    number = getattr(config, "num_hidden_layers", None)
    if number is not None:
        _check_depth(tune, number - bool(getattr(config, "averaging_layer", False)))


def choose_trained_weights(model: PreTrainedModel, tune: str) -> None:
    """Set `requires_grad`: "head", "last:N" (the head and the last N layers) or "all"; never the averaging layer."""
    model.requires_grad_(tune == "all")
    if tune != "all":
        for name, parameter in model.named_parameters():
            if not name.startswith(model.base_model_prefix + ".") or ".pooler." in name:
                parameter.requires_grad_(True)
    if tune.startswith("last:"):
        if shares_layers(model.config):
            raise _shared_layers(tune, model.config.model_type)
        last = int(tune.removeprefix("last:"))
        _check_depth(tune, depth(model))
        for layer in layers(model)[depth(model) - last : depth(model)]:
            layer.requires_grad_(True)
    if getattr(model.config, "averaging_layer", False):
        layers(model)[-1].requires_grad_(False)


def _check_depth(tune: str, number: int) -> None:
    if int(tune.removeprefix("last:")) > number:
        raise SettingsError(f"tune={tune!r}: the encoder has {number} layers")


def _shared_layers(tune: str, model_type: str) -> SettingsError:
    return SettingsError(
        f"tune={tune!r}: the layers of this {model_type!r} encoder share their weights, so none can be trained alone; "
        "use --tune head or --tune all"
    )


def _load_padding_tokenizer(encoder: str) -> PreTrainedTokenizerBase:
    tokenizer = load_tokenizer(encoder)
    if tokenizer.pad_token_id is None:
        raise SettingsError(
            f"encoder {encoder!r} has no pad token; choose one whose tokenizer has one (BERT, RoBERTa, ...)"
        )
    if any(tokenizer("a").get("token_type_ids", [])):
        # XLNet marks <cls> as a segment of its own. Models here get no segments, so a saved tokenizer makes none.
        names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
        tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = names
    # Saved, so that any program pads as the batches here do, whatever the encoder's own files say.
    side = "left" if load_config(encoder).model_type in PADDED_LEFT else "right"
    tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = side
    return tokenizer


def _check_vocabulary(encoder: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise SettingsError if the tokenizer has tokens that the model has no embeddings for, or no table of them."""
    try:
        embeddings: Any = model.get_input_embeddings()  # torch has no types for submodules
        rows = embeddings.weight.shape[0]
    except (NotImplementedError, AttributeError) as error:  # CANINE hashes characters
        raise SettingsError(
            f"the encoder {encoder!r} is a {model.config.model_type!r} model, which has no table of word embeddings; "
            "choose another encoder (BERT, RoBERTa, DeBERTa, ModernBERT)"
        ) from error
    largest = max(set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids))
    if largest >= rows:
        raise SettingsError(
            f"encoder {encoder!r}: its tokenizer has {len(tokenizer):,} tokens, its model {rows:,}; "
            "its folder needs a tokenizer and a model that belong together"
        )


def _check_classes(encoder: str, classes: Sequence[str]) -> None:
    """Raise SettingsError if the encoder is a classifier of other classes; it keeps its head, so order counts too."""
    config = load_config(encoder)
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


def _attention_fields(encoder: str) -> dict[str, str]:
    """Full attention for a model with block-sparse attention (BigBird).

    transformers changes such a model to full attention for good at its first short batch, so the logits of a text
    would depend on the texts before it.
    """
    sparse = getattr(load_config(encoder), "attention_type", None) == "block_sparse"
    return {"attention_type": "original_full"} if sparse else {}


def _dropout_fields(encoder: str, dropout: float | None) -> dict[str, float]:
    """Every field of the configuration that holds a dropout rate, set to this one; the classifier's can be None."""
    if dropout is None:
        return {}
    config = load_config(encoder).to_dict()
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
