"""``python -m lintmetrics``."""

import sys

from lintmetrics.cli import main

if __name__ == "__main__":
    sys.exit(main())
