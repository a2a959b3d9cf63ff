"""Snippets of the standard library's code, to be told apart by the package they come from."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from gpu_jobs.engine.data.builtin import source_files
from gpu_jobs.engine.data.corpus import Corpus

PACKAGES = ("asyncio", "email", "http", "importlib", "logging", "multiprocessing", "unittest", "xml")
SNIPPETS = 400  # of each package
LENGTHS = (200, 400)  # characters of a snippet: whole lines


class Snippets:
    """The same number of each package, as many as the smallest has, from all over its files."""

    label_column = "package"
    class_names = None

    def texts(self) -> Iterator[str]:
        return (text for texts in _snippets().values() for text in texts)

    def classes(self) -> list[str]:
        """The package of each snippet."""
        return [package for package, texts in _snippets().items() for _ in texts]


def stdlib_packages() -> Corpus:
    """The interpreter's full version stands for the content, so that a warm start reads none of the files."""
    table = Snippets()
    return Corpus("stdlib-packages", f"{sys.version}; {SNIPPETS} of {PACKAGES}, {LENGTHS}", table.texts, table)


@cache
def _snippets() -> dict[str, list[str]]:
    root = Path(sysconfig.get_paths()["stdlib"])
    found = {package: list(dict.fromkeys(_cut(root / package))) for package in PACKAGES}
    count = min(SNIPPETS, *map(len, found.values()))
    return {package: [texts[place * len(texts) // count] for place in range(count)] for package, texts in found.items()}


def _cut(folder: Path) -> Iterator[str]:
    """Each file from its first line on, in pieces of whole lines."""
    shortest, longest = LENGTHS
    for path in source_files(folder):
        piece = ""
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if len(piece) + len(line) > longest:
                if len(piece) >= shortest:
                    yield piece
                piece = ""
            piece += line if len(line) <= longest else ""
        if len(piece) >= shortest:
            yield piece
