"""Finds kinds and methods: one file in `kinds/` or in a folder of `methods/` is one of them. Free of torch."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import BaseModel, ConfigDict, Field

import gpu_jobs.methods
from gpu_jobs.errors import MethodError

if TYPE_CHECKING:
    from gpu_jobs.context import Context
    from gpu_jobs.events import Event
    from gpu_jobs.spec import JobSpec


def _describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    schema["title"], schema["description"], _ = docstring(sys.modules[model.__module__])


DESCRIBED = ConfigDict(json_schema_extra=_describe)  # a JSON schema named and described by its file's docstring


class Knobs(BaseModel):
    """What can be set of a method. Each method's subclass adds `name: Literal[...]` and its knobs."""

    model_config = ConfigDict(frozen=True, extra="forbid", **DESCRIBED)

    name: str


@dataclass(frozen=True)
class Method:
    """One file of `methods/<family>/`: `title: summary` is its docstring's first line, `doc` is the rest."""

    name: str
    family: str
    title: str
    summary: str
    doc: str
    paper: str | None
    knobs: type[Knobs]
    module: ModuleType

    @property
    def lr(self) -> float | None:
        """The learning rate that it suggests, where its file has LR: a start for comparisons, no default of a spec."""
        rate = getattr(self.module, "LR", None)
        return None if rate is None else float(rate)


@dataclass(frozen=True)
class Kind:
    """One file of `kinds/`: what a job of this kind is asked, and what it does."""

    name: str
    title: str
    summary: str
    doc: str
    spec: type[JobSpec]
    run: Callable[[Any, Context], Iterator[Event]]


def modules(package: ModuleType) -> Iterator[ModuleType]:
    """The files and folders of a package, imported, by name."""
    for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
        yield importlib.import_module(f"{package.__name__}.{found.name}")


def _name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def docstring(module: ModuleType) -> tuple[str, str, str]:
    """(title, summary, doc) of a docstring that begins with `Title: summary.`"""
    first, _, rest = inspect.cleandoc(module.__doc__ or "").partition("\n")
    title, colon, summary = first.partition(": ")
    if not colon:
        raise MethodError(f"{module.__name__}: the docstring must begin with 'Title: summary', not {first!r}")
    return title, summary[:1].upper() + summary[1:], rest.strip("\n")


def _method(family: str, module: ModuleType) -> Method:
    name = _name(module)
    knobs: type[Knobs] = module.Knobs
    if knobs.model_fields["name"].annotation.__args__ != (name,):  # type: ignore[union-attr]
        raise MethodError(f"{module.__name__}: Knobs.name must be Literal[{name!r}], as the file is called")
    title, summary, doc = docstring(module)
    return Method(name, family, title, summary, doc, getattr(module, "PAPER", None), knobs, module)


def _kind(module: ModuleType) -> Kind:
    title, summary, doc = docstring(module)
    return Kind(_name(module), title, summary, doc, module.Spec, module.run)


@functools.cache
def kinds() -> dict[str, Kind]:
    """Every kind of job by its name."""
    package = importlib.import_module("gpu_jobs.kinds")
    return {_name(module): _kind(module) for module in modules(package)}


@functools.cache
def families() -> list[str]:
    """The folders of `methods/`."""
    return [_name(package) for package in modules(gpu_jobs.methods)]


@functools.cache
def methods(family: str) -> dict[str, Method]:
    """Every method of a family by its name. Raises MethodError for a family that does not exist."""
    if family not in families():
        raise MethodError(f"no family {family!r}: there are {', '.join(families())}")
    package = importlib.import_module(f"gpu_jobs.methods.{family}")
    return {_name(module): _method(family, module) for module in modules(package)}


def method_of(knobs: Knobs) -> Method:
    """The method whose knobs these are."""
    family = type(knobs).__module__.split(".")[-2]
    return methods(family)[knobs.name]


def union(*families: str) -> Any:
    """The pydantic type of "any method of these families", told apart by `name`."""
    knobs = [method.knobs for family in families for method in methods(family).values()]
    if len(knobs) == 1:
        return knobs[0]
    return Annotated[Union[tuple(knobs)], Field(discriminator="name")]  # noqa: UP007 - built from a list
