"""Starts the recorder in every Python that inherits ``PYTHONPATH``, then the program's own
``sitecustomize``, which this file hides."""

import importlib.machinery
import importlib.util
import os
import sys

_FOLDER = os.path.dirname(os.path.abspath(__file__))

if os.environ.get("LINTMETRICS_RECORD"):
    import lintmetrics_recorder  # type: ignore[import-not-found]

    lintmetrics_recorder.install()

_spec = importlib.machinery.PathFinder.find_spec(
    "sitecustomize", [p for p in sys.path if os.path.abspath(p or os.curdir) != _FOLDER]
)
if _spec is not None and _spec.loader is not None:
    # The import system hands out what stands in sys.modules when this file ends.
    _module = importlib.util.module_from_spec(_spec)
    sys.modules["sitecustomize"] = _module
    _spec.loader.exec_module(_module)
