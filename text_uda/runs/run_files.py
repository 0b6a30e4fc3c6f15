"""The names that a run writes into its directory. Only these are removed, and only from a folder that a run has marked.

Runs of earlier versions have no marker; their config.json is known by its keys. A symbolic link is never a file of a
run: what it leads to lies elsewhere.
"""

import glob
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from translation_cache.atomic import PREFIX, REPLACED, remove_leftovers, sync

MARKER = "text_uda_run"
"""The key of config.json that says that a run of text_uda wrote it; its value is `FORMAT`."""

FORMAT = 1
"""Raised when earlier versions of text_uda could no longer read a run directory."""

LOCK = ".lock"
DAMAGED_METRICS = "damaged-metrics.jsonl"

_OF_THE_SYSTEM = (".DS_Store", "Thumbs.db", "desktop.ini", ".nfs*")
"""Files that a system writes into any folder: neither of a run nor of a user."""

# The options of a command and the settings of an augmentation that can name a file or a folder.
PATH_OPTIONS = ("data", "task", "unlabeled", "test", "dev", "cache", "encoder", "mlm_model", "translator", "model")

_EARLIER_KEYS = ("name", "method", "settings", "versions", "code_revision")  # of every config.json without a marker

_FILE: Mapping[str, Any] = {}

# Patterns (fnmatch) of the names in a folder, each with those inside. They name no file that a user would add.
_CHECKPOINT = dict.fromkeys((*(f"{part}.safetensors" for part in ("weights", "optimizer", "averaged", "best")),), _FILE)
_CHECKPOINT["state.json"] = _FILE
_TENSORBOARD = {"events.out.tfevents.*": _FILE, "hparams.yml": _FILE}

# What transformers reads from a folder, so that a further file of these names changes the predictions.
MODEL = {
    **dict.fromkeys(("config.json", "generation_config.json", "adapter_config.json"), _FILE),
    **dict.fromkeys(("columns.json", "text_and_columns.safetensors"), _FILE),  # of a model with a fusion
    **dict.fromkeys(("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json"), _FILE),
    **dict.fromkeys(("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"), _FILE),
    **dict.fromkeys(("vocab.txt", "vocab.json", "merges.txt", "bpe.codes", "chat_template.jinja"), _FILE),
    **dict.fromkeys(("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "spm.model"), _FILE),
    # LUKE, RemBERT, ProphetNet, RoCBert
    **dict.fromkeys(("entity_vocab.json", "sentencepiece.model", "prophetnet.tokenizer"), _FILE),
    **dict.fromkeys(("word_shape.json", "word_pronunciation.json"), _FILE),
    "1_Pooling": {"config.json": _FILE},
}
CARD = "README.md"


def modes_beside(run: Path) -> Path:
    """The folder, beside a run of `Choose`, of the runs of the modes that it was picked from."""
    return run.with_name(f"{run.name}-modes")


def mode_runs(run: Path) -> list[Path]:
    """These runs, by name; none beside another run."""
    return [path.parent for path in sorted(modes_beside(run).glob("*/config.json"))]


_RUN: dict[str, Any] = {
    **dict.fromkeys(("config.json", "metrics.jsonl", "result.json", "diverged.json", "seen_texts.npz"), _FILE),
    **dict.fromkeys((LOCK, DAMAGED_METRICS), _FILE),
    **dict.fromkeys(("examples.jsonl", "test_examples.jsonl", "dev_predictions.jsonl"), _FILE),
    "model": {**MODEL, CARD: _FILE},
    "checkpoints": {"step-*": _CHECKPOINT, "damaged-step-*": _CHECKPOINT},
    "tokens": {"*.safetensors": _FILE, LOCK: _FILE},
    "text_uda": {**_TENSORBOARD, "[0-9]*.[0-9]*": _TENSORBOARD},  # of --track tensorboard
}
_RUN["refit"] = _RUN
_RUN["tasks"] = {"*": _RUN}

_UNFINISHED = re.compile(re.escape(PREFIX) + r"(.+)\.[0-9a-f]{12}")


def is_config_of_run(config: Mapping[str, Any]) -> bool:
    """Whether a run wrote this config.json."""
    return MARKER in config or all(key in config for key in _EARLIER_KEYS)


def sort_entries(folder: Path, *, names: Mapping[str, Any] = _RUN) -> tuple[list[Path], list[Path]]:
    """(own, others): the files and folders of a run in `folder`, each folder after what it holds, and all others.

    Of what it holds, config.json is the last: until it is removed, the folder is known as that of a run.
    """
    own, others = list[Path](), list[Path]()
    for entry in sorted(folder.iterdir(), key=lambda path: (path.name == "config.json", path.name)):
        if any(fnmatchcase(entry.name, pattern) for pattern in _OF_THE_SYSTEM):
            continue
        unfinished = _UNFINISHED.fullmatch(entry.name)
        name = unfinished[1] if unfinished else entry.name.removeprefix(REPLACED)
        inner = next((inside for pattern, inside in names.items() if fnmatchcase(name, pattern)), None)
        if entry.is_symlink() or inner is None:
            others.append(entry)
        elif unfinished:
            own.append(entry)
        elif entry.is_dir() == (inner is _FILE):
            others.append(entry)
        else:
            if entry.is_dir():
                recorded = _recorded_model_files(folder) if inner is _RUN["model"] else _FILE
                for part, more in zip((own, others), sort_entries(entry, names={**inner, **recorded}), strict=True):
                    part += more
            own.append(entry)
    return own, others


def remove_own(folder: Path, *, names: Mapping[str, Any] = _RUN, keep: Iterable[str] = ()) -> None:
    """Remove the files of a run from a folder, and its folders that are then empty. Anything else stays.

    Args:
        keep: names in `folder` that stay.
    """
    for path in sort_entries(folder, names=names)[0]:
        if path.parent == folder and path.name in keep:
            continue
        if not path.is_dir():
            if path.name == "config.json":
                sync(path.parent)  # so that no power cut brings other files back and not this one
            path.unlink(missing_ok=True)
        elif _UNFINISHED.fullmatch(path.name):
            shutil.rmtree(path)
        else:
            with suppress(OSError):  # it holds something else
                path.rmdir()
    sync(folder)


def remove_unfinished(run: Path) -> None:
    """Remove what killed processes left unfinished in a run directory."""
    for name in _RUN:
        remove_leftovers(run, of=name)


def remove_folder(run: Path, name: str) -> None:
    """Remove what a run wrote to one of its folders, and the folder if it is then empty."""
    folder = run / name
    with suppress(OSError):  # it is not there, or cannot be removed: a finished run is whole with it
        if not folder.is_symlink():
            remove_own(folder, names=_RUN[name])
            folder.rmdir()


def paths_in(value: Any) -> Iterator[Path]:
    """The existing files and folders that the strings of options or settings name, also `marian:PATH,PATH`
    and `NAME=PATH`.

    Of a mapping, only strings under `PATH_OPTIONS` count: the word of another option can be the name of the run, too.
    """
    if isinstance(value, str):
        for word in {value, *re.split("[:,+]", value), value.partition("=")[2]}:
            with suppress(OSError, ValueError):  # too long for a name, or with a null
                if word and Path(word).exists():
                    yield Path(word)
    elif isinstance(value, os.PathLike):
        yield from paths_in(os.fspath(value))
    elif isinstance(value, Mapping):
        yield from paths_in([item for name, item in value.items() if name in PATH_OPTIONS or _has_mapping(item)])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from paths_in(item)


def _has_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list | tuple) and any(map(_has_mapping, value)))


def inputs_among(own: Iterable[Path], inputs: Iterable[Path], run: Path) -> list[Path]:
    """The inputs of a call that removing the files `own` of the run would remove, whatever path names them."""
    places = {path.resolve() for path in own}
    root = run.resolve()
    return [
        path
        for path in inputs
        if (place := path.resolve()) == root or place in places or places.intersection(place.parents)
    ]


def _recorded_model_files(run: Path) -> Mapping[str, Any]:
    """The names in model/ by result.json: of a tokenizer whose files have unusual names."""
    try:
        recorded = json.loads((run / "result.json").read_text("utf-8"))["model_files"]
        return {glob.escape(name): _FILE for name in recorded if "/" not in name}
    except (OSError, ValueError, KeyError, TypeError):
        return _FILE
