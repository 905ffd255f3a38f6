"""Install lintmetrics into ``.venv`` and check a real old Lightning package with it.

    python3 benchmarks/real_code.py

The package (lightning-bolts 0.5.0, written for Lightning 1.x) is downloaded by name and version;
without a network the small program in ``fixtures/averaged_batch_value`` is checked instead.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from packages import fetch, packages

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "fixtures" / "averaged_batch_value"


def main() -> int:
    """Set up what is missing, check the package, and return the exit code of the check."""
    environment = ROOT / ".venv"
    bin_ = environment / ("Scripts" if os.name == "nt" else "bin")
    if not environment.is_dir():
        print("making .venv", file=sys.stderr)
        venv.create(environment, with_pip=True)
    python = str(bin_ / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(ROOT)], check=True)
    try:
        target = fetch(next(p for p in packages() if p.label == "lightning-bolts-0.5.0"))
    except RuntimeError as error:
        print(f"{error}\nchecking the bundled example instead", file=sys.stderr)
        target = EXAMPLE
    command = [str(bin_ / "lintmetrics"), "check", "--isolated", os.path.relpath(target)]
    print("$", " ".join(command), file=sys.stderr)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
