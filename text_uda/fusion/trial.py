"""A fusion is tried on its encoder before the first step: encoders differ in what their layers take."""

from dataclasses import replace

import torch
from transformers import PreTrainedModel

from text_uda.errors import SettingsError
from text_uda.fusion.fused_model import FittedFusion
from text_uda.model.capabilities import UNSUPPORTED, trial_rows
from text_uda.model.classifier import logits, without_dropout
from text_uda.model.joined_columns import ATTRIBUTE, last_linear

_ROWS = 3  # as many as tokens, so that an encoder that takes them in another order raises no error, and is found out


def check_fusion_works(model: PreTrainedModel, fusion: FittedFusion) -> None:
    """Raise SettingsError unless each row of a batch has the logits that it has alone, and its columns change them.

    The fusion is already attached; it is tried with random weights, and both it and the head keep their own.
    """
    # A linear head is zero at first, and would give any columns the same logits.
    weights = [*getattr(model, ATTRIBUTE).parameters(), *last_linear(model).parameters()]
    kept = [values.detach().clone() for values in weights]
    generator = torch.Generator().manual_seed(0)
    tokens = trial_rows(model, rows=_ROWS)
    columns = torch.randn(_ROWS, fusion.columns.size, generator=generator).to(model.device)
    try:
        with torch.no_grad(), without_dropout(model):
            for values in weights:
                values.copy_(torch.randn(values.shape, generator=generator))
            rows = replace(tokens, columns=columns)
            together = logits(model, rows)
            single = torch.cat([logits(model, rows.take(torch.tensor([row]))) for row in range(_ROWS)])
            change = (logits(model, replace(tokens, columns=columns.flip(0))) - together).abs().max()
            works = bool(change > 0) and bool((single - together).abs().max() < 0.01 * change)
    except (SettingsError, *UNSUPPORTED):
        works = False
    finally:
        with torch.no_grad():
            for values, before in zip(weights, kept, strict=True):
                values.copy_(before)
    if not works:
        others = " or ".join(name for name in ("intermediate", "late") if name != fusion.settings.name)
        raise SettingsError(
            f"{fusion.settings.name} fusion does not work in a {model.config.model_type!r} model, whose layers are of"
            f" another form; use --fusion {others}, or another encoder (BERT, RoBERTa, DistilBERT, DeBERTa, ModernBERT)"
        )
