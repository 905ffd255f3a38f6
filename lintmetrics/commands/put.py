"""``lintmetrics put``: the runtime of ``put`` as one file of the user's project."""

from __future__ import annotations

import hashlib
import os
import pkgutil
import re
from pathlib import Path

import click

from lintmetrics import __version__
from lintmetrics.errors import LintmetricsError

_HEADER = """\
# put of lintmetrics {version}, made by `lintmetrics put --vendor`, which also brings it up to date.
# SPDX-License-Identifier: Apache-2.0 (https://www.apache.org/licenses/LICENSE-2.0)
# sha256 of all lines below this one: {digest}
"""
_KNOWN = re.compile(
    rb"# put of lintmetrics (?P<version>\S+), [^\n]*\n# SPDX[^\n]*\n"
    rb"# sha256 of all lines below this one: (?P<digest>[0-9a-f]{64})\n(?P<body>.*)",
    re.DOTALL,
)


@click.command("put")
@click.option(
    "--vendor",
    "path",
    type=click.Path(path_type=Path),
    required=True,
    metavar="PATH",
    help="The Python file to write, or a folder, which gets a put.py.",
)
@click.option("--force", is_flag=True, help="Replace whatever is there.")
def command(path: Path, force: bool) -> None:
    """Write the runtime of `put` into your project, as one file that needs no lintmetrics.

    The file needs torch and Lightning only. Run again after an upgrade to bring it up to date; a
    file that is not such a copy, or was changed since, is replaced with --force only.
    """
    target = path / "put.py" if path.is_dir() else path
    if not (target.suffix == ".py" and target.stem.isidentifier()):
        raise click.UsageError(f"--vendor {path}: name a Python file, such as {_suggested(path)}")
    wanted = _copy()
    there = _read(target)
    if there is not None and there.replace(b"\r\n", b"\n") == wanted:
        click.echo(f"{target}: is up to date (lintmetrics {__version__})")
        return
    before = "" if there is None else _replaceable(target, there, force)
    _write(target, wanted)
    done = f"brought from {before} to" if before else "written, the put of"
    click.echo(f"{target}: {done} lintmetrics {__version__}")


def _suggested(path: Path) -> Path:
    if path.suffix == ".py":
        return path.with_name("put.py")
    return path / "put.py" if path.suffix == "" else path.with_suffix(".py")


def _copy() -> bytes:
    """Return the file as it is written: what there is, under a header."""
    # Not imported: that would need torch.
    body = pkgutil.get_data("lintmetrics", "put.py")
    if body is None:
        raise LintmetricsError("lintmetrics/put.py is not part of this installation; reinstall it")
    body = body.replace(b"\r\n", b"\n")
    digest = hashlib.sha256(body).hexdigest()
    return _HEADER.format(version=__version__, digest=digest).encode() + body


def _read(target: Path) -> bytes | None:
    try:
        return target.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LintmetricsError(f"{target}: cannot be read: {error.strerror}") from None


def _replaceable(target: Path, there: bytes, force: bool) -> str:
    """Return the version of the copy that is there, empty where it is none.

    Raises:
        LintmetricsError: it is not what an earlier run wrote, and may not be replaced.
    """
    # git may have changed the ends of lines, which is no change of the user's.
    found = _KNOWN.fullmatch(there.replace(b"\r\n", b"\n"))
    version = found["version"].decode() if found else ""
    whole = found and hashlib.sha256(found["body"]).hexdigest() == found["digest"].decode()
    if not (whole or force):
        what = f"a copy of {version} that was changed" if found else "not a copy of put"
        raise LintmetricsError(
            f"{target}: is {what}, and is left as it is; name another file, or give --force to "
            "replace it"
        )
    return version


def _write(target: Path, data: bytes) -> None:
    """Write a file in one step: at any moment it is the old one or the new one."""
    real = Path(os.path.realpath(target))
    temporary = real.with_name(f".{real.name}.{os.getpid()}.lintmetrics")
    try:
        try:
            temporary.write_bytes(data)
            if real.exists():
                temporary.chmod(real.stat().st_mode & 0o7777)
            os.replace(temporary, real)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise LintmetricsError(f"{target}: cannot be written: {error.strerror}") from None
