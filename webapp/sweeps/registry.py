"""Finds samplers, stoppers and protocols: one file in their folder is one of them, as with gpu_jobs' methods.

A file has a docstring that begins with `Title: summary.`, a `Knobs` whose `name` is the file's, PAPER where there is
one, and the functions that its folder's `__init__` names.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any, Union

from pydantic import Field

from gpu_jobs.registry import Knobs, docstring, modules

__all__ = ["Entry", "Knobs", "entries", "entry_of", "union"]


@dataclass(frozen=True)
class Entry:
    """One file: `title: summary` is its docstring's first line, `doc` the rest."""

    name: str
    title: str
    summary: str
    doc: str
    paper: str | None
    knobs: type[Knobs]
    module: ModuleType


@functools.cache
def entries(folder: str) -> dict[str, Entry]:
    """Every entry of "stoppers", "protocols" or "search.samplers" by its name."""
    package = importlib.import_module(f"webapp.sweeps.{folder}")
    found = [_entry(module) for module in modules(package)]
    return {entry.name: entry for entry in found}


def entry_of(knobs: Knobs) -> Entry:
    """The entry whose knobs these are."""
    folder = type(knobs).__module__.removeprefix("webapp.sweeps.").rpartition(".")[0]
    return entries(folder)[knobs.name]


def union(folder: str) -> Any:
    """The pydantic type of "any entry of this folder", told apart by `name`."""
    knobs = [entry.knobs for entry in entries(folder).values()]
    if len(knobs) == 1:
        return knobs[0]
    return Annotated[Union[tuple(knobs)], Field(discriminator="name")]  # noqa: UP007 - built from a list


def _entry(module: ModuleType) -> Entry:
    name = module.__name__.rpartition(".")[2]
    title, summary, doc = docstring(module)
    return Entry(name, title, summary, doc, getattr(module, "PAPER", None), module.Knobs, module)
