"""Writes the model of a run: an ordinary transformers folder, unless it reads other columns beside the text."""

from collections.abc import Mapping
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from text_uda.fusion.fused_model import FittedFusion, write_fused
from text_uda.model.linear_head import saved_form
from translation_cache.atomic import whole_folder


def write_model(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    notes: Mapping[str, str] | None = None,
    *,
    fusion: FittedFusion | None = None,
    tune: str = "all",
) -> None:
    """Write the weights, the head and the tokenizer, with its truncation, in place of what the folder holds.

    Args:
        notes: contents of further files, by their path in the folder.
        fusion: of a fused model, whose folder transformers refuses; see `text_uda.fusion.fused_model`.
        tune: the weights that were trained.
    """
    with whole_folder(folder, replace=True) as unfinished:
        if fusion is not None:
            write_fused(unfinished, model, fusion, tune=tune)
        else:
            with saved_form(model):
                model.save_pretrained(unfinished)
        _set_truncation(tokenizer)
        tokenizer.save_pretrained(unfinished)
        for name, content in (notes or {}).items():
            (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
            (unfinished / name).write_text(content, "utf-8")


def _set_truncation(tokenizer: PreTrainedTokenizerBase) -> None:
    """Put length and side of the truncation into the files of the tokenizer.

    transformers saves the length, but a side only if the tokenizer was opened with it. It saves tokenizer.json with the
    truncation of the last call, which a run whose features are stored never made. Programs without transformers read
    that file.
    """
    tokenizer.init_kwargs["truncation_side"] = tokenizer.truncation_side
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return
    backend.no_padding()
    if tokenizer.model_max_length < 1 << 31:  # else the encoder has no limit
        backend.enable_truncation(tokenizer.model_max_length, direction=tokenizer.truncation_side)
    else:
        backend.no_truncation()
