"""`--config FILE`: the options of a verb from a TOML file, or from the config.json of a run, which runs again."""

import json
import logging
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from text_uda.cli.failures import nearest
from text_uda.cli.grouped_help import option
from text_uda.cli.output import is_main_process
from text_uda.cli.settings_options import Verb
from text_uda.runs.directory import PRETRAINING

if TYPE_CHECKING:
    from text_uda.data import Split
    from translation_cache import Job

log = logging.getLogger("text_uda")

# They say where this call writes and how it goes on, not what the run is.
_NOT_IN_FILES = ("out", "resume", "config", "as_json", "debug", "help")
_NOT_RECORDED = (*_NOT_IN_FILES, "max_minutes")
_HOLD_PATHS = ("source", "task", "unlabeled", "test", "dev_rows", "cache_path", "encoder", "mlm_model", "translator")


@dataclass(frozen=True)
class ConfigFile:
    path: Path
    run: Mapping[str, Any] | None
    """The configuration of the run that the file describes; None for a file that a person wrote."""

    def warn_of_changes(
        self,
        splits: Mapping[str, "Split"],
        *,
        encoder: str,
        augmentations: Mapping[str, "Job | None"],
        cache: str | None,
    ) -> None:
        """Warn where the same options do not give the run again: other texts, encoder, paraphrases or versions.

        What the user set anew on the command line is not compared.

        Args:
            splits: by task; of the only one, which has no name, under "".
        """
        if self.run is None or not is_main_process():
            return
        from text_uda.model.encoder_content import encoder_digest
        from text_uda.runs.provenance import code_versions
        from translation_cache import Cache, digest

        context = click.get_current_context()
        anew = [parameter for parameter in context.command.params if _is_on_command_line(context, parameter)]
        groups, names = {getattr(parameter, "group", "Data") for parameter in anew}, {one.name for one in anew}
        same_data = not groups & {"Data", "Labels"} and "seed" not in names and "task" not in names
        known = {"": self.run, **(self.run.get("tasks") or {})}
        known = {task: known[task] for task in splits if task in known}
        for task, before in known.items():
            if same_data and splits[task].digest != (before.get("data") or {}).get("digest"):
                data = f"the data of task {task!r}" if task else "the data"
                log.warning("%s: %s has changed since: the run read other texts or labels", self.path, data)
        if "encoder" not in names and self.run.get("encoder_digest") not in (None, encoder_digest(encoder)):
            log.warning("%s: the files of the encoder %s have changed since", self.path, encoder)
        if (
            "Augmentation" not in groups
            and cache
            and any(
                (job := augmentations[task]) is not None
                and before.get("cache_digest") not in (None, digest(Cache(cache), job.settings()))
                for task, before in known.items()
            )
        ):
            log.warning("%s: the cache %s holds other paraphrases than it did for the run", self.path, Cache(cache))
        versions = code_versions()["versions"]
        others = [
            f"{package} {version}, here {versions.get(package)}"
            for package, version in self.run["versions"].items()
            if versions.get(package) != version
        ]
        if others:
            log.warning("%s: the run used %s: the results can differ", self.path, "; ".join(others))


def config_option(function: Verb) -> Verb:
    """Handed over as `config: ConfigFile | None`; the options in the file are defaults of the other options."""
    decorate: Callable[[Verb], Verb] = option(
        "--config",
        type=click.Path(exists=True, path_type=Path),
        is_eager=True,
        callback=_read,
        metavar="FILE",
        default_words="no file",
        help="Take DATA and the options from a TOML file, or from RUN/config.json to run it again; those given beside"
        " it override.",
    )
    return decorate(function)


def given_options() -> dict[str, Any]:
    """What the user gave, on the command line or in a file, that decides the run: the `command` of config.json.

    It holds no secrets of addresses, so the address of a cache with one has to be given again.
    """
    context = click.get_current_context()
    options = {
        name: _plain(context.params[parameter.name])
        for name, parameter in _parameters(context).items()
        if parameter.name not in _NOT_RECORDED
        and context.get_parameter_source(parameter.name or "") not in (None, ParameterSource.DEFAULT)
    }
    return {"options": options, "folder": os.getcwd()}


def _is_on_command_line(context: click.Context, parameter: click.Parameter) -> bool:
    return context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    from translation_cache.credentials import without_secrets

    return without_secrets(str(value)) if isinstance(value, str | Path) else value


def _parameters(context: click.Context) -> dict[str, click.Parameter]:
    """The parameters of a verb by their names in a file: `label_sampling`, and `data` for DATA."""
    return {
        (parameter.opts[0].lstrip("-").replace("-", "_") if isinstance(parameter, click.Option) else "data"): parameter
        for parameter in context.command.params
    }


def _read(context: click.Context, _option: click.Parameter, path: Path | None) -> ConfigFile | None:
    if path is None:
        return None
    path = path / "config.json" if path.is_dir() else path
    content, run = _content(path), None
    if "versions" in content:  # a run wrote it
        run = content
        content = _options_of_run(path, run)
    parameters = _parameters(context)
    aliases = {alias.lstrip("-").replace("-", "_"): name for name, one in parameters.items() for alias in one.opts}
    defaults: dict[str, Any] = {}
    for key, value in _leaves(path, content):
        name = key.lstrip("-").replace("-", "_")
        name = aliases.get(name, name)
        parameter = parameters.get(name)
        if name == "out":
            log.warning("%s: `out` is not taken from the file: --out names the folder of the new run", path)
            continue
        if parameter is None:
            raise click.UsageError(f"{path}: there is no option {key!r}.{nearest(name, parameters)}", context)
        if parameter.name in _NOT_IN_FILES:
            raise click.UsageError(f"{path}: {key!r} is not taken from a file; give it on the command line", context)
        if parameter.name in defaults:
            raise click.UsageError(f"{path} has {key!r} twice; keep one", context)
        words = _words(path, key, value, parameter)
        if run is not None and parameter.name in _HOLD_PATHS:
            words = _found_from(run["command"].get("folder"), words, named=parameter.name == "task")
        try:
            parameter.type_cast_value(context, words)
        except click.BadParameter as error:
            raise click.UsageError(f"{path}, {key!r}: {error.message}", context) from error
        defaults[str(parameter.name)] = words
    context.default_map = {**(context.default_map or {}), **defaults}
    return ConfigFile(path, run)


def _content(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise click.UsageError(f"{path} cannot be read as {kind}: {error}") from error
    if not isinstance(content, dict):
        raise click.UsageError(f"{path} holds no options; name a TOML file, or the config.json of a run")
    return content


def _options_of_run(path: Path, run: Mapping[str, Any]) -> dict[str, Any]:
    command = run.get("command")
    if run.get("method") == PRETRAINING:
        raise click.UsageError(f"{path} is of a pretraining run, and `train` trains a classifier")
    if isinstance(shared := run.get("shared"), dict):
        of_all = path.absolute().parent.parent.parent / path.name
        raise click.UsageError(
            f"{path} is of one of several tasks ({', '.join(shared['tasks'])}): name that of all,"
            f" {of_all}, or write the options of this one into a TOML file"
        )
    if not isinstance(command, dict) or not isinstance(command.get("options"), dict):
        raise click.UsageError(
            f"{path} does not say where its rows came from: Python's train(), a study or an earlier version wrote it; "
            "run the script or `text-uda ablate` again, or write the options into a TOML file"
        )
    return command["options"]


def _leaves(path: Path, content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The keys with a value; tables only group them."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _leaves(path, value)
        elif value is not None:
            yield key, value


def _words(path: Path, key: str, value: Any, parameter: click.Parameter) -> Any:
    """A value as the words that the command line has for it, so that the same conversions and checks apply."""
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, dict | list) for item in items):
        raise click.UsageError(f"{path}, {key!r}: give a value, or a list of values")
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return value if isinstance(value, bool) else str(value)
    words = [str(item) for item in items]
    return words if parameter.multiple else ",".join(words)


def _found_from(folder: str | None, words: Any, *, named: bool = False) -> Any:
    """Relative paths that exist from the folder where the run was started, made absolute if that is another folder.

    Args:
        named: whether the words are NAME=PATH.
    """
    if folder is None or Path(folder) == Path.cwd():
        return words
    if isinstance(words, list):
        return [_found_from(folder, word, named=named) for word in words]
    if named:
        name, equals, path = words.partition("=")
        return f"{name}{equals}{_found_from(folder, path)}"
    if "://" in words:
        return words

    def absolute(match: re.Match[str]) -> str:
        word = match[0]
        return str(Path(folder, word)) if Path(folder, word).exists() else word

    return absolute(re.match(".*", words)) if Path(folder, words).exists() else re.sub("[^:,+]+", absolute, words)  # pyright: ignore[reportArgumentType]
