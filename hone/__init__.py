"""The Python client and command line of Hone. Imports nothing of the server.

run = hone.init(project="first", config={"lr": 3e-4})
run.log({"train/loss": 1.9})
run.log({"samples": hone.Image(array), "weights": hone.Histogram(weights)}, step=100)
run.finish()

hone.runs(project="first")                  # a pandas DataFrame, or a list of dicts
hone.history(run, "train/loss").values      # numpy, every point
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hone.errors import HoneError
    from hone.media import Histogram, Image
    from hone.reads import History, history, runs
    from hone.run import Run
    from hone.starting import init

__all__ = ["Histogram", "History", "HoneError", "Image", "Run", "history", "init", "runs"]
_HOMES = {
    "Histogram": "media", "History": "reads", "HoneError": "errors", "Image": "media", "Run": "run",
    "history": "reads", "init": "starting", "runs": "reads",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Loaded when first used: the command's --help need not wait for httpx."""
    if name not in _HOMES:
        raise AttributeError(f"module 'hone' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hone.{_HOMES[name]}"), name)
