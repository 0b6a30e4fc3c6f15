"""The classifier: any `AutoModelForSequenceClassification`, cut where consistency training needs a cut.

    embed    tokens -> word embeddings                                       (B, T) -> (B, T, D)
    encode   tokens -> features, the hidden state that the head reads        (B, T) -> (B, D)
    head     features -> logits                                              (B, D) -> (B, C)

`Classifier` is the model as the objectives see it: with its last hidden vector, and with a place to mix or perturb.
What is trained is an ordinary transformers model, and what is saved opens anywhere.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from text_uda.errors import SettingsError
from text_uda.model.inputs import Embedded, Features, Inputs, Tokens
from text_uda.model.linear_head import is_linear, linear_logits
from text_uda.model.micro_batches import deal, extents
from text_uda.model.mixing import Mixing
from text_uda.model.packing import is_packed, packed

# What a model's head makes of the first hidden state, by `config.model_type`; checked against the whole when used.
HEADS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "bert": lambda m, h: m.classifier(m.dropout(m.bert.pooler(h[:, None]))),
    "roberta": lambda m, h: m.classifier(h[:, None]),
    "xlm-roberta": lambda m, h: m.classifier(h[:, None]),
    "distilbert": lambda m, h: m.classifier(m.dropout(torch.relu(m.pre_classifier(h)))),
}


class Output(NamedTuple):
    """B rows, C classes, H numbers that the last linear layer reads."""

    logits: Tensor  # (B, C) float32, whatever the precision of the forward; float64 of a model that is in float64
    hidden: Tensor  # (B, H) likewise


@dataclass
class Traffic:
    """What went through the encoder: tokens, and places for them."""

    tokens: int = 0
    places: int = 0

    @property
    def padding(self) -> float:
        """The share of places without a token, 0 to 1."""
        return 1 - self.tokens / self.places if self.places else 0.0

    def count(self, tokens: int, places: int) -> None:
        self.tokens += tokens
        self.places += places


class Classifier:
    """A model as the objectives see it: the student, or the teacher.

    Args:
        tokens_per_pass: run no more at one time, and make again for the gradient what a pass remembers; None for all
            at once. Mixed rows are not cut up: they are padded, and run together.
    """

    def __init__(self, model: PreTrainedModel, *, tokens_per_pass: int | None = None) -> None:
        self.model = model
        self.tokens_per_pass = tokens_per_pass
        self.traffic = Traffic()
        self._last = _last_linear(model)

    def __call__(self, inputs: Inputs, *, mixing: Mixing | None = None, layer: int = 0) -> Output:
        """Run B rows.

        Args:
            mixing: mix the rows with their partners after `layer` layers, 0 for the embeddings. A row adds nothing to
                places where it has no token, whatever stands there, so the width of a batch says nothing. From there on
                a place is attended to when either row has it. Features of a frozen encoder are mixed as they are.
        """
        if mixing is not None:
            return self._run_mixed(inputs, mixing, layer)
        if isinstance(inputs, Features):
            return self._run(inputs)
        lengths, no_padding = extents(inputs.attention_mask), is_packed(self.model)
        passes = deal(lengths, most=self.tokens_per_pass, packed=no_padding)
        for each in passes:
            tokens = sum(lengths[row] for row in each)
            padded = len(each) * max((lengths[row] for row in each), default=0)
            self.traffic.count(tokens, tokens if no_padding else padded)
        if len(passes) == 1:
            return self._run(inputs)
        rows = [torch.tensor(each, device=inputs.attention_mask.device) for each in passes]
        widths = [max(lengths[row] for row in each) for each in passes]
        remembered = self.tokens_per_pass is None or not torch.is_grad_enabled()
        run = self._run if remembered else self._run_again_for_the_gradient
        outputs = [run(inputs.take(each, width)) for each, width in zip(rows, widths, strict=True)]
        back = torch.cat(rows).argsort()
        return Output(*(torch.cat(parts)[back] for parts in zip(*outputs, strict=True)))

    def _run(self, inputs: Inputs, *, padded: bool = False) -> Output:
        read: list[Tensor] = []
        hook = self._last.register_forward_pre_hook(lambda _module, arguments: read.append(arguments[0]))
        try:
            result = logits(self.model, inputs, padded=padded)
        finally:
            hook.remove()
        return Output(at_least_float32(result), at_least_float32(read[0]))

    def _run_again_for_the_gradient(self, inputs: Tokens | Embedded) -> Output:
        kind, training = type(inputs), self.model.training

        def run(*parts: Tensor) -> Output:
            now = self.model.training
            self.model.train(training)  # as when the pass was made first
            try:
                return self._run(kind(*parts))
            finally:
                self.model.train(now)

        values = inputs.values if isinstance(inputs, Embedded) else inputs.input_ids
        return checkpoint(run, values, inputs.attention_mask, use_reentrant=False)  # pyright: ignore[reportReturnType]

    def _run_mixed(self, inputs: Inputs, mixing: Mixing, layer: int) -> Output:
        """Place by place, so rows have to be padded."""
        if not isinstance(inputs, Features):
            self.traffic.count(int(inputs.attention_mask.sum()), inputs.attention_mask.numel())
        if layer == 0 or isinstance(inputs, Features):
            return self._run(self._mixed(inputs, mixing), padded=True)
        own = inputs.attention_mask
        # A head that pools does so over the places of either row.
        with _mixed_after(layers(self.model), layer, mixing, own), _encoded_under(self.model, own):
            return self._run(replace(inputs, attention_mask=mixing.either(own)), padded=True)

    def last_layer(self, hidden: Tensor) -> Tensor:
        """The logits of hidden vectors, (B, H) -> (B, C)."""
        return at_least_float32(self._last(hidden))

    def embed(self, inputs: Inputs) -> Embedded | Features:
        """What can be mixed or perturbed: the word embeddings, or the features of a frozen encoder."""
        return embed(self.model, inputs) if isinstance(inputs, Tokens) else inputs

    @contextmanager
    def without_dropout(self) -> Iterator[None]:
        was_training = self.model.training
        self.model.eval()
        try:
            yield
        finally:
            self.model.train(was_training)

    def _mixed(self, inputs: Inputs, mixing: Mixing) -> Inputs:
        embedded = self.embed(inputs)
        if isinstance(embedded, Features):
            return Features(mixing(embedded.values))
        there = embedded.attention_mask
        return Embedded(mixing(_of_tokens(embedded.values, there)), mixing.either(there))


def encode(model: PreTrainedModel, tokens: Tokens) -> Tensor:
    """The first position of the last hidden state, which the head reads. (B, T) -> (B, D)"""
    with _without_padding(model, tokens.attention_mask):
        hidden = model.base_model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
    return hidden[:, 0]


def logits(model: PreTrainedModel, inputs: Inputs, *, padded: bool = False) -> Tensor:
    """(B, T) tokens, their (B, T, D) embeddings or (B, D) features -> (B, C) logits.

    Args:
        padded: run the layers on padded rows even where the encoder can do without padding.
    """
    if isinstance(inputs, Features):
        head = linear_logits if is_linear(model) else HEADS[model.config.model_type]
        return head(model, inputs.values)
    given = {"inputs_embeds": inputs.values} if isinstance(inputs, Embedded) else {"input_ids": inputs.input_ids}
    with _without_padding(model, inputs.attention_mask) if not padded else nullcontext():
        return model(**given, attention_mask=inputs.attention_mask).logits


def _without_padding(model: PreTrainedModel, mask: Tensor) -> AbstractContextManager[None]:
    return packed(layers(model), mask) if is_packed(model) else nullcontext()


def embed(model: PreTrainedModel, tokens: Tokens) -> Embedded:
    """The word embeddings of the tokens, (B, T) -> (B, T, D): `logits` of them are `logits` of the tokens.

    Where RoBERTa sees no ids it numbers the positions of padding on, instead of giving them that of the pad token. That
    says nothing, since padding is on the right and nothing attends to it: no position ids are needed.
    """
    return Embedded(model.get_input_embeddings()(tokens.input_ids), tokens.attention_mask)


def at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def number_of_classes(model: PreTrainedModel) -> int:
    classes = model.config.num_labels
    assert classes is not None, "a classifier has classes"
    return classes


def class_names(model: PreTrainedModel) -> list[str]:
    """In the order of the logits."""
    names: dict[Any, str] = model.config.id2label or {}
    return [names[index] for index in range(number_of_classes(model))]


def layers(model: PreTrainedModel) -> list[nn.Module]:
    """The encoder's layers, from the embeddings up."""
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == model.config.num_hidden_layers:
            return list(module)
    raise SettingsError(
        f"cannot find the layers of a {model.config.model_type!r} model; use --tune all, and neither layer_decay nor "
        "reinit_layers"
    )


def depth(model: PreTrainedModel) -> int:
    """How many layers the encoder was pretrained with."""
    return len(layers(model)) - bool(getattr(model.config, "averaging_layer", False))


def _last_linear(model: PreTrainedModel) -> nn.Linear:
    found = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == number_of_classes(model)]
    if not found:
        raise SettingsError(f"a {model.config.model_type!r} model has no linear layer that makes the logits")
    return found[-1]


def _of_tokens(values: Tensor, there: Tensor) -> Tensor:
    """Zero where there is no token. (B, T, D), (B, T) -> (B, T, D)"""
    return values * there[..., None].to(values.dtype)


@contextmanager
def _encoded_under(model: PreTrainedModel, mask: Tensor) -> Iterator[None]:
    """Let the encoder begin with this mask, whatever the whole model is given."""
    hook = model.base_model.register_forward_pre_hook(
        lambda _module, arguments, named: (arguments, named | {"attention_mask": mask}), with_kwargs=True
    )
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def _mixed_after(own: list[nn.Module], layer: int, mixing: Mixing, there: Tensor) -> Iterator[None]:
    """Mix what the layer number `layer` (from 1) gives, and let later layers attend to a place that either row has."""

    def mixed(_module: nn.Module, _arguments: Any, output: Any) -> Any:
        states = mixing(_of_tokens(output[0] if isinstance(output, tuple) else output, there))
        return (states, *output[1:]) if isinstance(output, tuple) else states

    def masked(_module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return tuple(map(either, arguments)), {name: either(value) for name, value in named.items()}

    def either(value: Any) -> Any:  # of what a layer is given, the attention mask alone has four axes
        return mixing.either(value) if isinstance(value, Tensor) and value.ndim == 4 else value

    with ExitStack() as hooks:
        hooks.callback(own[layer - 1].register_forward_hook(mixed).remove)
        for later in own[layer:]:
            hooks.callback(later.register_forward_pre_hook(masked, with_kwargs=True).remove)
        yield
