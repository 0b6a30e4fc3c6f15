"""`pretrain`: checks the arguments, writes the configuration, and trains a masked language model."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from text_uda import distributed
from text_uda.data.loading import texts_of
from text_uda.data.row_columns import columns_of
from text_uda.data.texts import distinct_places, take_texts
from text_uda.errors import DataError, SettingsError
from text_uda.model.encoder_content import encoder_digest
from text_uda.model.precision import ResolvedPrecision
from text_uda.model.pretrained import hidden_width
from text_uda.runs.directory import PRETRAINING, RunDirectory
from text_uda.runs.provenance import code_versions, machine
from text_uda.runs.run_files import paths_in
from text_uda.runs.run_lock import claimed
from text_uda.training.loop import train_loop
from text_uda.training.masked_language_modeling import MaskedLanguageModeling
from text_uda.training.pretrain_settings import PretrainSettings
from text_uda.training.stop_signals import StopRequest

__all__ = ["PretrainSettings", "pretrain"]


def pretrain(
    texts: Any,
    *,
    settings: PretrainSettings | None = None,
    out: str | Path,
    name: str | None = None,
    resume: bool = True,
    max_minutes: float | None = None,
    command: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train an encoder to predict masked tokens of `texts`, and write the run directory `out`.

    `out` and its folder model/ are then names of the encoder. An interrupted run resumes from its last checkpoint; a
    finished run is read, not repeated. Some texts, chosen by a hash of their content, are held out for evaluation.

    Under `accelerate launch` each process makes this call with the same folder on a shared disk, and gets its part of
    the rows.

    Args:
        texts: of the training side, without labels; duplicates count once. A list, a pandas Series or DataFrame, a
            `datasets.Dataset`, or a Corpus.
        settings: of the training.
        out: the run directory.
        name: of the run.
        resume: False starts again and discards what an earlier run left in `out`.
        max_minutes: stop after this time with a checkpoint; the same call resumes from it.
        command: for config.json: the options of `text-uda pretrain`.
    Returns:
        the content of result.json: run, model, start_dev_loss, start_perplexity, dev_loss, perplexity (on masked tokens
        of the held-out texts, before and after training; before: None if the metrics of a stopped run were removed),
        steps, texts, held_out, tokens (seen in training), new_head, seconds, model_files (the SHA-256 of each file of
        the model).
    Raises:
        SettingsError: the encoder does not predict masked tokens, the folder holds another run or other files, another
            process writes there, or the model of the finished run is damaged.
        DataError: fewer than two texts have a token that can be masked.
        NonFiniteError: the loss is not finite.
        Interrupted: by SIGINT or SIGTERM, or at the time limit, after a checkpoint.
    """
    settings = PretrainSettings() if settings is None else settings
    stop = StopRequest(max_minutes)
    texts = texts_of(texts)
    if columns_of(texts):
        raise SettingsError(
            "masked words are predicted from the text alone, so the columns beside it would teach nothing: load the"
            " data without numeric, categorical and vector"
        )
    texts = take_texts(texts, distinct_places(texts))
    directory = RunDirectory(Path(out))
    accelerator = Accelerator(mixed_precision="no")  # `_loss` casts; it also starts the process group
    distributed.check(accelerator)
    width = hidden_width(settings.encoder)
    precision: ResolvedPrecision = distributed.on_main(
        lambda: directory.resolved_precision(settings.precision, width, resume=resume)
    )
    config = {
        "name": name or f"{PRETRAINING} seed {settings.seed}",
        "method": PRETRAINING,
        "data": {"texts": len(texts), "digest": _digest(texts)},
        "settings": asdict(settings),
        "encoder_digest": encoder_digest(settings.encoder),
        **({} if command is None else {"command": dict(command)}),
        **code_versions(),
        "machine": machine(accelerator, precision),
    }
    with claimed(directory, config, resume=resume, inputs=paths_in([settings.encoder, command])) as is_new:
        if (finished := directory.result()) is not None:
            return finished
        try:
            run = MaskedLanguageModeling(texts, replace(settings, precision=precision), directory, accelerator)
        except (SettingsError, DataError):
            accelerator.wait_for_everyone()  # no process may still write into the folder
            if is_new and distributed.is_main():
                directory.discard()
            raise
        return train_loop(run, stop)


def _digest(texts: Sequence[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()
