"""Write the hashes of the references of `lintmetrics verify` anew: `python pin_references.py`.

Reads the requirements from ``lintmetrics/verify/pins/index.csv`` and writes ``<name>.txt`` beside
it, with the hashes of every file that the index has of each release, so that they hold on every
platform. Needs uv (``pip install uv``), which asks the index for hashes without downloading.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lintmetrics.verify import references

PINS = Path(references.__file__).parent / "pins"


def pinned(reference: references.Reference) -> str:
    """Return the requirements of a reference with their hashes."""
    command = ["uv", "pip", "compile", "--no-deps", "--generate-hashes", "--no-header"]
    command += ["--no-annotate", "--no-config", "--default-index", "https://pypi.org/simple"]
    command += ["--python", sys.executable, "--quiet", "-"]
    wanted = "\n".join(reference.requirements)
    return subprocess.run(command, input=wanted, capture_output=True, text=True, check=True).stdout


def main() -> None:
    """Write the pins of every reference."""
    for reference in references.listing():
        (PINS / f"{reference.name}.txt").write_text(pinned(reference), encoding="utf-8")
        print(reference.name)


if __name__ == "__main__":
    main()
