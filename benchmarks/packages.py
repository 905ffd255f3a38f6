"""Real packages by name and version: fetched with pip, checked by hash, unpacked, never committed.

The list is ``corpus.tsv``. Archives are kept in ``LINTMETRICS_CORPUS`` (default
``.lintmetrics-corpus`` in the working directory, which git ignores).
"""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).with_name("corpus.tsv")


@dataclass(frozen=True)
class Package:
    """One archive of the corpus.

    Args:
        package, version: as PyPI has them.
        which: ``before`` (last 1.x-style version), ``after`` (migrated by its authors), ``extra``.
        file: the archive's name; ``sha256``: its hash.
    """

    package: str
    version: str
    which: str
    file: str
    sha256: str

    @property
    def label(self) -> str:
        """Name and version, as a folder is called."""
        return f"{self.package}-{self.version}"


def packages() -> list[Package]:
    """Return the packages of the corpus, in the order of the list."""
    with LIST.open(encoding="utf-8", newline="") as file:
        return [Package(**row) for row in csv.DictReader(file, delimiter="\t")]


def cache() -> Path:
    """Return the folder in which archives and unpacked packages are kept."""
    return Path(os.environ.get("LINTMETRICS_CORPUS", ".lintmetrics-corpus")).resolve()


def fetch(package: Package) -> Path:
    """Return the folder with an unpacked package, downloaded when it is not there yet.

    Raises:
        RuntimeError: pip cannot fetch it, or it has another hash than the list says.
    """
    folder = cache() / package.label
    if folder.is_dir():
        return folder
    archives = cache() / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    archive = archives / package.file
    if not archive.is_file():
        form = ["--no-binary", ":all:"] if package.file.endswith(".tar.gz") else []
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--ignore-requires-python", "--dest", str(archives)),
                *form,
                f"{package.package}=={package.version}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        # pip leaves a source archive in place even when it cannot read its metadata.
        if not archive.is_file():
            raise RuntimeError(
                f"{package.label}: pip cannot fetch it: {done.stderr.strip()[-300:]}"
            )
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise RuntimeError(f"{package.label}: {archive.name} has sha256 {digest}")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as file:
            file.extractall(partial)
    else:
        with tarfile.open(archive) as file:
            file.extractall(partial, filter="data")
    partial.rename(folder)
    return folder
