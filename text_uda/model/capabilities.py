"""What a model can do: the checks that an objective or an augmentation needs, each with one clear error."""

import torch
from transformers import PreTrainedModel

from text_uda.errors import SettingsError
from text_uda.model.classifier import HEADS, Classifier, embed, encode, layers, logits
from text_uda.model.inputs import Features, Tokens
from text_uda.model.linear_head import is_linear, saved_form


def check_embeddings_can_be_given(model: PreTrainedModel) -> None:
    """Raise SettingsError unless the model makes of `embed` what it makes of the tokens."""
    words = _trial_tokens(model)
    tokens = Tokens(torch.tensor([words, words]), torch.tensor([[1, 1, 1], [1, 1, 0]])).to(model.device)
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


def _trial_tokens(model: PreTrainedModel) -> list[int]:
    """Three tokens to try a model with; none is the pad token."""
    return [token for token in range(4) if token != model.config.pad_token_id][:3]


def check_last_layer_is_linear(model: PreTrainedModel) -> None:
    """Raise SettingsError unless the logits are a linear layer of one vector a row."""
    ids = torch.tensor([_trial_tokens(model)], device=model.device)
    try:
        classifier = Classifier(model)
        with torch.no_grad(), classifier.without_dropout():
            output = classifier(Tokens(ids, torch.ones_like(ids)))
            linear = output.hidden.ndim == 2 and torch.allclose(
                classifier.last_layer(output.hidden), output.logits, atol=1e-4
            )
    except IndexError:  # nothing went through the layer that was found
        linear = False
    if not linear:
        raise SettingsError(
            f"a {model.config.model_type!r} model's logits are not a linear layer of one vector; choose another "
            "encoder (BERT, RoBERTa, DistilBERT, DeBERTa, ModernBERT), or another objective"
        )


def check_hidden_is_trained(model: PreTrainedModel, *, tune: str) -> None:
    """Raise SettingsError where no trained weight is below the vector that the last linear layer reads."""
    ids = torch.tensor([_trial_tokens(model)], device=model.device)
    classifier = Classifier(model)
    with classifier.without_dropout():
        output = classifier(Tokens(ids, torch.ones_like(ids)))
    if not output.hidden.requires_grad:
        raise SettingsError(
            f"with tune={tune!r} the hidden vector is frozen, and SupCon and InfoNCE train nothing else: give "
            "--tune last:2 or all, or another objective"
        )


def check_head_can_be_cut(model: PreTrainedModel) -> None:
    """Raise SettingsError unless `encode` and the head together give what the whole model gives, as it is saved."""
    known = model.config.model_type in HEADS or is_linear(model)
    if known:
        tokens = Tokens(torch.tensor([[1, 2, 3]]), torch.ones(1, 3, dtype=torch.long)).to(model.device)
        was_training = model.training
        model.eval()
        with torch.no_grad():
            apart = logits(model, Features(encode(model, tokens)))
            with saved_form(model):
                known = torch.allclose(apart, logits(model, tokens), atol=1e-4)
        model.train(was_training)
    if not known:
        raise SettingsError(
            f"the head of a {model.config.model_type!r} model cannot be trained apart "
            f"(only: {', '.join(sorted(HEADS))}); use --tune all or --tune last:2"
        )


def knows_layers(model: PreTrainedModel) -> bool:
    """Whether `layers` finds them."""
    try:
        return bool(layers(model))
    except SettingsError:
        return False
