"""The classifier: any `AutoModelForSequenceClassification`, with access to its inner stages.

    embed    tokens -> word embeddings                                       (B, T) -> (B, T, D)
    encode   tokens -> features, the hidden state that the head reads        (B, T) -> (B, D)
    head     features -> logits                                              (B, D) -> (B, C)

`Classifier` is the model as the objectives use it: it returns the last hidden vector too, and can mix or perturb rows.
The trained and saved model is an ordinary transformers model.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from text_uda.errors import SettingsError
from text_uda.model.inputs import Embedded, Features, Inputs, Tokens, pad_left
from text_uda.model.joined_columns import column_join_of, last_linear, needed_columns
from text_uda.model.linear_head import CLASSIFIER_OF_STATES, is_linear, linear_logits
from text_uda.model.micro_batches import row_lengths, split_into_passes
from text_uda.model.mixing import Mixing
from text_uda.model.packing import is_packed, packed

# The head of each `config.model_type`, from first hidden state to logits; `check_head_is_separable` verifies it.
HEADS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "bert": lambda m, h: m.classifier(m.dropout(m.bert.pooler(h[:, None]))),
    "distilbert": lambda m, h: m.classifier(m.dropout(torch.relu(m.pre_classifier(h)))),
    "albert": lambda m, h: m.classifier(m.dropout(m.albert.pooler_activation(m.albert.pooler(h)))),
    "deberta": lambda m, h: m.classifier(m.dropout(m.pooler(h[:, None]))),
    "deberta-v2": lambda m, h: m.classifier(m.dropout(m.pooler(h[:, None]))),
    **dict.fromkeys(CLASSIFIER_OF_STATES, lambda m, h: m.classifier(h[:, None])),
}

# Encoders whose rows end at the last position: their head reads the last state, and padding comes first.
PADDED_LEFT = {"xlnet"}


class ClassifierOutput(NamedTuple):
    """Logits, and the vectors that the last linear layer reads."""

    logits: Float[Tensor, "B C"]  # float32 whatever the precision of the forward; float64 for a model in float64
    hidden: Float[Tensor, "B H"]  # likewise


@dataclass
class TokenCounts:
    """Tokens that passed through the encoder, and positions, padding included."""

    tokens: int = 0
    positions: int = 0

    @property
    def padding(self) -> float:
        """The share of positions without a token, 0 to 1."""
        return 1 - self.tokens / self.positions if self.positions else 0.0

    def add(self, tokens: int, positions: int) -> None:
        self.tokens += tokens
        self.positions += positions


class Classifier:
    """A model as the objectives use it: the student, or the teacher.

    Args:
        tokens_per_pass: limit on the tokens of one pass, whose activations are then recomputed in the backward pass;
            None for one pass. Mixed rows are padded and always take one pass.
    """

    def __init__(self, model: PreTrainedModel, *, tokens_per_pass: int | None = None) -> None:
        self.model = model
        self.tokens_per_pass = tokens_per_pass
        self.token_counts = TokenCounts()
        self._last_linear = last_linear(model)

    def __call__(self, inputs: Inputs, *, mixing: Mixing | None = None, layer: int = 0) -> ClassifierOutput:
        """Run B rows.

        Args:
            mixing: mix the rows with their partners after `layer` layers; 0 mixes the embeddings. A row adds zero at
                positions where it has no token, so the result does not depend on the width of the batch. Later layers
                attend to the positions of either row. Features of a frozen encoder are mixed as they are.
        """
        if mixing is not None:
            return self._run_mixed(inputs, mixing, layer)
        return ClassifierOutput(*self._in_passes(self._run, inputs))

    def encode(self, inputs: Inputs) -> Float[Tensor, "B D"]:
        """The features of B rows, which the head reads: `Classifier(Features(...))` of them gives the logits.

        It runs in passes as a call does. The head must be separable (see `check_head_is_separable`).
        """
        return self._in_passes(self._run_encoder, inputs)[0]

    def _in_passes(self, run: Callable[[Inputs], tuple[Tensor, ...]], inputs: Inputs) -> tuple[Tensor, ...]:
        """The tensors (B, ...) that `run` computes, in one pass or several."""
        if isinstance(inputs, Features):
            return run(inputs)
        lengths, no_padding = row_lengths(inputs), is_packed(self.model)
        passes = split_into_passes(lengths, max_tokens=self.tokens_per_pass, packed=no_padding)
        for rows in passes:
            tokens = sum(lengths[row] for row in rows)
            padded = len(rows) * max((lengths[row] for row in rows), default=0)
            self.token_counts.add(tokens, tokens if no_padding else padded)
        if len(passes) == 1:
            return run(inputs)
        indices = [torch.tensor(rows) for rows in passes]  # on the CPU, so that lengths stay known
        widths = [max(lengths[row] for row in rows) for rows in passes]
        keeps_activations = self.tokens_per_pass is None or not torch.is_grad_enabled()
        in_pass = run if keeps_activations else partial(self._recomputed, run)
        outputs = [in_pass(inputs.take(rows, width)) for rows, width in zip(indices, widths, strict=True)]
        order = torch.cat(indices).argsort().to(inputs.attention_mask.device, non_blocking=True)
        return tuple(torch.cat(parts)[order] for parts in zip(*outputs, strict=True))

    def _run(self, inputs: Inputs, *, padded: bool = False) -> ClassifierOutput:
        read: list[Tensor] = []
        hook = self._last_linear.register_forward_pre_hook(lambda _module, arguments: read.append(arguments[0]))
        try:
            result = logits(self.model, inputs, padded=padded)
        finally:
            hook.remove()
        return ClassifierOutput(at_least_float32(result), at_least_float32(read[0]))

    def _run_encoder(self, inputs: Inputs) -> tuple[Tensor]:
        return (inputs.values if isinstance(inputs, Features) else encode(self.model, inputs),)

    def _recomputed(self, run: Callable[[Inputs], tuple[Tensor, ...]], inputs: Tokens | Embedded) -> tuple[Tensor, ...]:
        """As `run`, with activations recomputed in the backward pass."""
        training, values_of = self.model.training, "values" if isinstance(inputs, Embedded) else "input_ids"

        def run_again(rows: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
            training_now = self.model.training
            self.model.train(training)  # as in the first run: the backward pass may come in another mode
            try:
                return run(replace(inputs, **{values_of: rows}, attention_mask=mask))
            finally:
                self.model.train(training_now)

        return checkpoint(run_again, getattr(inputs, values_of), inputs.attention_mask, use_reentrant=False)  # pyright: ignore[reportReturnType]

    def _run_mixed(self, inputs: Inputs, mixing: Mixing, layer: int) -> ClassifierOutput:
        """Rows are mixed position by position, so they have to be padded."""
        if not isinstance(inputs, Features):
            tokens = int(inputs.attention_mask.sum()) if inputs.lengths is None else sum(inputs.lengths)
            self.token_counts.add(tokens, inputs.attention_mask.numel())
        if layer == 0 or isinstance(inputs, Features):
            return self._run(self._mix_inputs(inputs, mixing), padded=True)
        mask = inputs.attention_mask
        # The head, which may pool over positions, gets the positions of either row; the encoder starts with each row's.
        with _mixed_after(layers(self.model), layer, mixing, mask), _encoder_mask(self.model, mask):
            mixed = replace(inputs, attention_mask=mixing.either(mask), lengths=None)
            join = column_join_of(self.model)
            if join is not None and not join.joins_before(layer):  # else the states that are mixed have them
                mixed = replace(mixed, columns=mixing(needed_columns(inputs)))
            return self._run(mixed, padded=True)

    def last_layer(self, hidden: Float[Tensor, "B H"]) -> Float[Tensor, "B C"]:
        """The logits of hidden vectors."""
        return at_least_float32(self._last_linear(hidden))

    def embed(self, inputs: Inputs) -> Embedded | Features:
        """Inputs that can be mixed or perturbed: word embeddings, or the features of a frozen encoder."""
        return embed(self.model, inputs) if isinstance(inputs, Tokens) else inputs

    def without_dropout(self) -> AbstractContextManager[None]:
        return without_dropout(self.model)

    def _mix_inputs(self, inputs: Inputs, mixing: Mixing) -> Inputs:
        embedded = self.embed(inputs)
        columns = None if inputs.columns is None else mixing(inputs.columns)
        if isinstance(embedded, Features):
            return Features(mixing(embedded.values), columns)
        mask = embedded.attention_mask
        return Embedded(mixing(_zero_padding(embedded.values, mask)), mixing.either(mask), columns=columns)


@contextmanager
def without_dropout(model: PreTrainedModel) -> Iterator[None]:
    """A block in which the model is in evaluation mode."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def encode(model: PreTrainedModel, tokens: Tokens | Embedded, *, padded: bool = False) -> Float[Tensor, "B D"]:
    """The features: the last hidden state of the first position, which the head reads; for `padded` see `logits`."""
    named = {**_values(tokens), "attention_mask": tokens.attention_mask}
    if model.config.model_type == "longformer":  # as its classifier does: all tokens attend to the first one
        named["global_attention_mask"] = torch.zeros_like(tokens.attention_mask)
        named["global_attention_mask"][:, 0] = 1
    with _without_padding(model, tokens) if not padded else nullcontext():
        hidden = model.base_model(**named).last_hidden_state
    return hidden[:, 0]


def logits(model: PreTrainedModel, inputs: Inputs, *, padded: bool = False) -> Float[Tensor, "B ..."]:
    """The logits of token ids, of their embeddings or of features, (B, C); (B, T, V) from a masked-language model.

    Args:
        padded: run the layers on padded rows even if the encoder can run without padding.
    Raises:
        SettingsError: a fused model gets rows without columns.
    """
    if (join := column_join_of(model)) is None:
        return _logits_of_text(model, inputs, padded=padded)
    columns = needed_columns(inputs)
    if join.joins_features:
        features = inputs.values if isinstance(inputs, Features) else encode(model, inputs, padded=padded)
        inputs = Features(join.features(features, columns), columns)
    text = _logits_of_text(model, inputs, padded=padded, joined=join.joined(model, columns))
    return join.logits(text, columns)


def _logits_of_text(
    model: PreTrainedModel, inputs: Inputs, *, padded: bool, joined: AbstractContextManager[None] | None = None
) -> Float[Tensor, "B ..."]:
    """
    Args:
        joined: a block in which modules of the model read the columns too; it follows the hooks of packed rows.
    """
    joined = nullcontext() if joined is None else joined
    if isinstance(inputs, Features):
        head = linear_logits if is_linear(model) else HEADS[model.config.model_type]
        with joined:
            return head(model, inputs.values)
    if model.config.model_type in PADDED_LEFT:
        inputs = pad_left(inputs)
    with _without_padding(model, inputs) if not padded else nullcontext(), joined:
        return model(**_values(inputs), attention_mask=inputs.attention_mask).logits


def _values(inputs: Tokens | Embedded) -> dict[str, Tensor]:
    return {"inputs_embeds": inputs.values} if isinstance(inputs, Embedded) else {"input_ids": inputs.input_ids}


def _without_padding(model: PreTrainedModel, inputs: Tokens | Embedded) -> AbstractContextManager[None]:
    return packed(layers(model), inputs.attention_mask, inputs.lengths) if is_packed(model) else nullcontext()


def embed(model: PreTrainedModel, tokens: Tokens) -> Embedded:
    """The word embeddings of the tokens; `logits` of either are the same.

    Without ids, RoBERTa counts the positions of padding on instead of giving them the position of the pad token.
    Padding is on the right and nothing attends to it, so no position ids are needed.
    """
    values = model.get_input_embeddings()(tokens.input_ids)
    return Embedded(values, tokens.attention_mask, tokens.lengths, tokens.columns)


def at_least_float32(values: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
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
    kind = model.config.model_type
    if shares_layers(model.config):
        raise SettingsError(
            f"the layers of this {kind!r} model share their weights; use --tune head or all, no layer_decay and no "
            "reinit_layers, and no objective that mixes inside the encoder (TMix, MixMixup)"
        )
    number = getattr(model.config, "num_hidden_layers", None)
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == number:
            return list(module)
    raise SettingsError(
        f"cannot find the layers of a {kind!r} model; use --tune all, no layer_decay and no reinit_layers, and no "
        "objective that mixes inside the encoder (TMix, MixMixup)"
    )


def shares_layers(config: Any) -> bool:
    """Whether the encoder runs some weights in several layers, as ALBERT does; takes its configuration."""
    groups = getattr(config, "num_hidden_groups", None)
    return groups is not None and (groups < config.num_hidden_layers or config.inner_group_num > 1)


def depth(model: PreTrainedModel) -> int:
    """The number of pretrained layers: all but the averaging layer."""
    return len(layers(model)) - bool(getattr(model.config, "averaging_layer", False))


def _zero_padding(values: Float[Tensor, "B T D"], mask: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
    """Zero at positions without a token."""
    return values * mask[..., None].to(values.dtype)


@contextmanager
def _encoder_mask(model: PreTrainedModel, mask: Int[Tensor, "B T"]) -> Iterator[None]:
    """A block in which the encoder starts with this mask, whatever mask the whole model gets."""
    hook = model.base_model.register_forward_pre_hook(
        lambda _module, arguments, named: (arguments, named | {"attention_mask": mask}), with_kwargs=True
    )
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def _mixed_after(all_layers: list[nn.Module], layer: int, mixing: Mixing, mask: Int[Tensor, "B T"]) -> Iterator[None]:
    """A block in which the output of layer number `layer` (from 1) is mixed, and later layers attend to either row."""

    def mix_output(_module: nn.Module, _arguments: Any, output: Any) -> Any:
        states = mixing(_zero_padding(output[0] if isinstance(output, tuple) else output, mask))
        return (states, *output[1:]) if isinstance(output, tuple) else states

    def widen_masks(_module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return tuple(map(widen_mask, arguments)), {name: widen_mask(value) for name, value in named.items()}

    def widen_mask(value: Any) -> Any:  # the attention mask is the only argument of a layer with four axes
        return mixing.either(value) if isinstance(value, Tensor) and value.ndim == 4 else value

    with ExitStack() as hooks:
        hooks.callback(all_layers[layer - 1].register_forward_hook(mix_output).remove)
        for later in all_layers[layer:]:
            hooks.callback(later.register_forward_pre_hook(widen_masks, with_kwargs=True).remove)
        yield
