"""Real text and images that every machine with Python and scikit-learn has."""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_jobs.engine.data.corpus import Corpus

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STDLIB_CHARACTERS = 8_000_000  # tokenised in seconds, and enough for a few thousand steps of a small model
NOT_SOURCE = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "__pycache__"}


def language_reference() -> Corpus:
    """The topics of Python's language reference, in the alphabetical order of their names."""
    from pydoc_data.topics import topics

    texts = [topics[name] for name in sorted(topics)]
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    return Corpus("language-reference", digest, lambda: iter(texts))


def stdlib_source() -> Corpus:
    """Source files of the standard library without its tests, in the order of their paths, up to STDLIB_CHARACTERS.

    The interpreter's full version stands for the content, so that a warm start reads none of the files.
    """
    return Corpus("stdlib-source", f"{sys.version}; first {STDLIB_CHARACTERS} characters", _stdlib_texts)


def _stdlib_texts() -> Iterator[str]:
    root = Path(sysconfig.get_paths()["stdlib"])
    left = STDLIB_CHARACTERS
    for path in source_files(root):
        text = path.read_text(encoding="utf-8", errors="strict")
        if len(text) > left:
            return
        left -= len(text)
        yield text


def source_files(root: Path) -> list[Path]:
    """Python files below, tests left out, in the order of their paths."""
    found: list[str] = []
    for folder, inside, files in os.walk(root):
        inside[:] = [name for name in inside if name not in NOT_SOURCE]
        found += [f"{folder}/{name}" for name in files if name.endswith(".py")]
    return [Path(name) for name in sorted(found)]


def digits_version() -> str:
    """What the content of the digits hangs on."""
    return version("scikit-learn")


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """1,797 handwritten digits: pixels (1797, 1, 8, 8) in [-1, 1], classes (1797,). Loads scikit-learn, about 1 s."""
    import numpy as np
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = (bunch.images.astype(np.float32) / 8.0 - 1.0)[:, None]  # stored as 0..16
    return np.ascontiguousarray(pixels), bunch.target.astype(np.int64)
