"""Checks of what a model can do, one for each need of an objective, an augmentation or `--tune`.

Each check runs the model on three tokens, and raises SettingsError with the encoders or options that work.
"""

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from text_uda.errors import SettingsError
from text_uda.model.classifier import HEADS, Classifier, embed, encode, layers, logits, without_dropout
from text_uda.model.inputs import Features, Tokens, pad
from text_uda.model.linear_head import is_linear, saved_form
from text_uda.model.mixing import Mixing

# What a model raises that has no input for embeddings, or layers of another form.
UNSUPPORTED = (TypeError, ValueError, NotImplementedError, RuntimeError, AttributeError, IndexError)


def check_rows_are_independent(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise SettingsError unless a text has the same logits alone and beside a longer text, which pads it.

    Convolutions over padding (ConvBERT), mixing of all positions (FNet) and the like would make a prediction depend on
    the other texts of its batch.
    """
    kind, limit = model.config.model_type, min(tokenizer.model_max_length, 16)
    texts = ["a", " ".join("abcdefghijklmnop")]
    rows = [np.asarray(tokenizer(text, truncation=True, max_length=limit)["input_ids"]) for text in texts]
    if not all(map(len, rows)):  # a tokenizer that adds no special token and does not know these letters
        return
    try:
        with torch.no_grad(), without_dropout(model):
            alone, _, together = (
                Classifier(model)(pad(part, pad_id=model.config.pad_token_id or 0).to(model.device))
                for part in (rows[:1], rows[1:], rows)
            )
    except UNSUPPORTED as error:
        raise SettingsError(
            f"a {kind!r} model cannot classify short texts here ({type(error).__name__}: {error}); choose another "
            "encoder (BERT, RoBERTa, DeBERTa, ModernBERT)"
        ) from error
    vectors = [output.hidden if output.hidden.ndim == 2 else output.logits for output in (alone, together)]
    if not torch.allclose(vectors[0], vectors[1][:1], atol=1e-3, rtol=1e-3):
        raise SettingsError(
            f"in a {kind!r} model the prediction for a text depends on the padding, that is, on the other texts of its "
            "batch; choose another encoder (BERT, RoBERTa, DeBERTa, ModernBERT)"
        )


def check_layers_can_be_mixed(model: PreTrainedModel) -> None:
    """Raise SettingsError unless rows can be mixed after a layer: mixing each row with itself changes no logits."""
    tokens = trial_rows(model)
    itself = Mixing(torch.tensor([0.5, 0.5], device=model.device), torch.arange(2, device=model.device), (2,))
    classifier, middle = Classifier(model), max(1, len(layers(model)) // 2)
    try:
        with torch.no_grad(), classifier.without_dropout():
            mixed, plain = classifier(tokens, mixing=itself, layer=middle), classifier(tokens)
            can_mix = torch.allclose(mixed.logits, plain.logits, atol=1e-4)
    except UNSUPPORTED:
        can_mix = False
    if not can_mix:
        raise SettingsError(
            f"rows cannot be mixed inside a {model.config.model_type!r} model; choose another encoder (BERT, RoBERTa, "
            "DistilBERT), or another objective than TMix and MixMixup"
        )


def check_accepts_embeddings(model: PreTrainedModel) -> None:
    """Raise SettingsError unless embeddings give the same logits as their tokens."""
    tokens = trial_rows(model)
    try:
        with torch.no_grad(), without_dropout(model):
            accepts = torch.allclose(logits(model, embed(model, tokens)), logits(model, tokens), atol=1e-4)
    except UNSUPPORTED:
        accepts = False
    if not accepts:
        raise SettingsError(
            f"a {model.config.model_type!r} model does not accept embeddings in place of tokens; choose another "
            "encoder (BERT, RoBERTa, DistilBERT), or an augmentation of tokens or texts"
        )


def check_last_layer_is_linear(model: PreTrainedModel) -> None:
    """Raise SettingsError unless the logits are a linear layer of one vector for each row."""
    try:
        classifier = Classifier(model)
        with torch.no_grad(), classifier.without_dropout():
            output = classifier(trial_rows(model, rows=1))
            linear = output.hidden.ndim == 2 and torch.allclose(
                classifier.last_layer(output.hidden), output.logits, atol=1e-4
            )
    except IndexError:  # the forward pass does not call the layer that has the size of the last one
        linear = False
    if not linear:
        raise SettingsError(
            f"the logits of a {model.config.model_type!r} model are not a linear layer of one vector; choose another "
            "encoder (BERT, RoBERTa, DistilBERT, DeBERTa, ModernBERT), or another objective"
        )


def check_hidden_is_trained(model: PreTrainedModel, *, tune: str) -> None:
    """Raise SettingsError if all weights below the input of the last linear layer are frozen."""
    classifier = Classifier(model)
    with classifier.without_dropout():
        hidden = classifier(trial_rows(model, rows=1)).hidden
    if not hidden.requires_grad:
        raise SettingsError(
            f"with tune={tune!r} the hidden vector is frozen, and SupCon and InfoNCE train nothing else: use "
            "--tune last:2 or all, or another objective"
        )


def check_head_is_separable(model: PreTrainedModel) -> None:
    """Raise SettingsError unless `encode` followed by the head gives the logits of the model in its saved form."""
    separable = model.config.model_type in HEADS or is_linear(model)
    if separable:
        tokens = trial_rows(model)
        with torch.no_grad(), without_dropout(model):
            from_features = logits(model, Features(encode(model, tokens)))
            with saved_form(model):
                separable = torch.allclose(from_features, logits(model, tokens), atol=1e-4)
    if not separable:
        raise SettingsError(
            f"the head of a {model.config.model_type!r} model cannot be trained by itself "
            f"(only: {', '.join(sorted(HEADS))}); use --tune all"
            + (" or --tune last:2" if has_known_layers(model) else "")
        )


def has_known_layers(model: PreTrainedModel) -> bool:
    """Whether `layers` identifies the encoder's layers."""
    try:
        return bool(layers(model))
    except SettingsError:
        return False


def trial_rows(model: PreTrainedModel, *, rows: int = 2) -> Tokens:
    """At most three rows of three tokens, none of them the pad token; the second row ends in padding."""
    ids = torch.tensor([token for token in range(4) if token != model.config.pad_token_id][:3])
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 1]])[:rows]
    return Tokens(ids.repeat(rows, 1), mask).to(model.device)
