"""The lock of a run directory: one call at a time writes there."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from text_uda import distributed
from text_uda.errors import SettingsError
from text_uda.runs.directory import REFIT, RunDirectory
from text_uda.runs.run_files import LOCK, mode_runs
from translation_cache.atomic import make_folder
from translation_cache.file_lock import exclusive_lock

WAIT_S = 10.0
"""A killed process may hold its lock until its memory is released."""


@contextmanager
def claimed(
    directory: RunDirectory, config: Mapping[str, Any], *, resume: bool, inputs: Iterable[Path]
) -> Iterator[bool]:
    """Start or resume the run with this configuration and hold the lock of its directory; see `RunDirectory.open`.

    Of several processes of one run, the main one holds it. A finished run is only read, without a lock. A file system
    without locks gives a warning. A new folder in which nothing is written is removed.

    Returns:
        whether the run starts here.
    Raises:
        OtherRunError: the folder holds a run with other settings.
        SettingsError: it holds other files, is a task of a run of several, another process writes there, or it cannot
            be locked.
    """
    with ExitStack() as stack:

        def start() -> bool:
            directory.check_is_no_task()
            if directory.is_finished(config, resume=resume):
                if directory.holds_scratch():
                    _remove_scratch(directory)
                return False
            stack.enter_context(_locked(directory.path))
            # Another process may have worked here until now.
            return not directory.is_finished(config, resume=resume) and directory.open(
                config, resume=resume, inputs=inputs
            )

        yield distributed.on_main(start)


def remove_models(run: RunDirectory) -> None:
    """Remove the model of a finished run, and those of its refit, tasks and modes; one that is gone is done.

    Raises:
        SettingsError: another process writes there, or it cannot be locked.
        OSError: a file cannot be removed.
    """
    for one in (run, *map(RunDirectory, mode_runs(run.path))):
        inside = (one, RunDirectory(one.path / REFIT), *one.task_directories())
        if any(directory.holds_model() for directory in inside):
            with _locked(one.path):
                for directory in filter(RunDirectory.holds_model, inside):
                    directory.remove_model()


def _remove_scratch(directory: RunDirectory) -> None:
    """Remove what a kill has left in a finished run, unless another process starts it again, or it is read only."""
    with suppress(OSError), exclusive_lock(directory.path / LOCK, wait_s=0) as is_free:
        if is_free and directory.result() is not None:
            directory.remove_scratch()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    is_new, path = not folder.exists(), folder / LOCK
    make_folder(folder)
    with ExitStack() as stack:
        try:
            is_free = stack.enter_context(exclusive_lock(path, wait_s=WAIT_S))
        except OSError as error:
            remedy = "get write permission, or name another folder for the run"
            reason = f"cannot be locked ({error.strerror or error}): {remedy}"
            reason = "is a symbolic link: remove it" if path.is_symlink() else reason
            raise SettingsError(f"{path} {reason}") from error
        if not is_free:
            raise SettingsError(f"another process writes to {folder}: wait for it, stop it, or name another folder")
        try:
            yield
        except BaseException:
            with suppress(OSError):  # it holds something, or is on Windows, where an open file stays
                if [entry.name for entry in folder.iterdir()] == [LOCK]:
                    path.unlink()
                    if is_new:
                        folder.rmdir()
            raise
