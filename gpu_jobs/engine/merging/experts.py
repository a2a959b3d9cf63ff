"""The models that are merged: their folders, and whether they belong together, which is known before writing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_jobs.context import Context
from gpu_jobs.deltas import Chunk, Stream
from gpu_jobs.engine import exporting, folders, models
from gpu_jobs.engine.export import stored_bytes
from gpu_jobs.engine.folders import Folder
from gpu_jobs.engine.merging.weights import DTYPES, Weights, pieces
from gpu_jobs.errors import ModelError
from gpu_jobs.shapes import is_hidden_matrix
from gpu_jobs.sources import HubModel, RunModel, Source

if TYPE_CHECKING:
    from gpu_jobs.kinds.merge import Spec

HELD = ".experts"  # adapters and models of the hub, as plain folders while the job runs
TRIED = ".candidate"  # the model of the coefficients that are being tried


@dataclass(frozen=True)
class Member:
    """An expert, or the base: its name in the result, its folder, its tensors and its config.json.

    `stored` are the bytes of the folder that was named: of an adapter far fewer than those of the whole model.
    """

    name: str
    folder: Folder
    weights: Weights
    config: dict[str, Any]
    stored: int
    run: int | None = None


@dataclass(frozen=True)
class Party:
    """The base and its experts, checked against each other."""

    base: Member
    experts: list[Member]

    @property
    def merged(self) -> tuple[str, ...]:
        """The tensors that are merged: those whose numbers have a fraction. Others are kept as the base has them."""
        return tuple(name for name, about in self.base.weights.tensors.items() if about.is_float)

    def stream(self, weights: tuple[float, ...], seed: int, *, whole: bool = False) -> Stream:
        """The task vectors; `whole` gives each matrix between hidden states in one piece."""
        return Stream(len(self.experts), self.merged, lambda name: self._read(name, weights, seed, whole=whole))

    def _read(self, name: str, weights: tuple[float, ...], seed: int, *, whole: bool) -> Iterator[Chunk]:
        shape = self.base.weights.tensors[name].shape
        for start, stop in pieces(shape, whole=whole and is_hidden_matrix(name, shape)):
            base = self.base.weights.rows(name, start, stop).float()
            deltas = [expert.weights.rows(name, start, stop).float().sub_(base) for expert in self.experts]
            yield Chunk(name, start, base, deltas, weights, seed)


def gather(spec: Spec, context: Context) -> Party:
    """Finds all, makes plain folders of adapters, and checks them. Raises ModelError."""
    base = _member(spec.base, "the base", context, "base")
    experts = []
    for number, expert in enumerate(spec.chosen):
        name = expert.label or _name(expert.model, number)
        folder = _find(expert.model, context)
        _check_adapter(folder, name, base, context)
        experts.append(_member(expert.model, name, context, str(number)))
    party = Party(base, [_renamed(expert, experts, number) for number, expert in enumerate(experts)])
    for member in party.experts:
        check(member, base)
    return party


def _name(source: Source, number: int) -> str:
    """What an expert is called that was given no label."""
    if isinstance(source, HubModel):
        return source.id
    return source.reference() or Path(getattr(source, "path", "") or f"expert {number}").name


def _renamed(expert: Member, experts: list[Member], number: int) -> Member:
    """Two of the same name are told apart by their numbers."""
    if [other.name for other in experts].count(expert.name) == 1:
        return expert
    return replace(expert, name=f"{expert.name} ({number + 1})")


def _find(source: Source, context: Context) -> Folder | HubModel:
    return source if isinstance(source, HubModel) else folders.find(source, context)


def _member(source: Source, name: str, context: Context, place: str) -> Member:
    found = _find(source, context)
    folder = _plain(found, context, context.work_dir / HELD / place)
    config = json.loads((folder.path / "config.json").read_text())
    run = source.run if isinstance(source, RunModel) else None
    stored = stored_bytes(found.path if isinstance(found, Folder) else folder.path)
    return Member(name, folder, Weights(folder), config, stored, run)


def _plain(found: Folder | HubModel, context: Context, place: Path) -> Folder:
    """A folder with whole weights: an adapter is merged into its base, a model of the hub fetched, one at a time."""
    if isinstance(found, Folder) and not found.is_adapter:
        return found
    shutil.rmtree(place, ignore_errors=True)
    if isinstance(found, Folder):
        models.plain(found, context, exporting.task_of(found.path), exporting.labels_of(found.path), place)
    else:
        models.plain(found, context, None, None, place)
    return Folder(place)


def _check_adapter(found: Folder | HubModel, name: str, base: Member, context: Context) -> None:
    """An adapter says what it stands on, which must be the base to the bit. On the hub it can't be looked at."""
    below: Folder | Source = found
    while isinstance(below, Folder) and below.is_adapter:
        below = folders.base_of(below, context)
    if below is found or not isinstance(below, Folder) or below.path.samefile(base.folder.path):
        return
    if (tensor := _difference(Weights(below), base.weights)) is not None:
        raise ModelError(f"the expert {name} was trained on another base than {base.folder}: {tensor} is not the same")


def _difference(one: Weights, other: Weights) -> str | None:
    """The first tensor in which they are not the same, in the numbers that the second has."""
    for tensor, about in other.tensors.items():
        mine = one.tensors.get(tensor)
        if mine is None or mine.shape != about.shape:
            return tensor
        for rows in pieces(about.shape):
            if not one.rows(tensor, *rows).to(DTYPES[about.dtype]).equal(other.rows(tensor, *rows)):
                return tensor
    return None


def check(expert: Member, base: Member) -> None:
    """Raises ModelError, with one sentence, unless the expert has the base's architecture, classes and shapes."""
    mine, theirs = (_architecture(member.config) for member in (expert, base))
    if mine != theirs:
        raise ModelError(
            f"the expert {expert.name} is a {mine} and its base a {theirs}: models of one architecture can be merged"
        )
    _check_labels(expert, base)
    for name in sorted(expert.weights.tensors.keys() ^ base.weights.tensors.keys()):
        holder = expert.name if name in expert.weights.tensors else "the base"
        raise ModelError(f"the expert {expert.name} and the base differ in their weights: only {holder} has {name}")
    for name, about in base.weights.tensors.items():
        shape = expert.weights.tensors[name].shape
        if shape != about.shape:
            raise ModelError(
                f"the expert {expert.name} has another shape than the base in {name}: {_times(shape)} instead of "
                f"{_times(about.shape)}"
            )


def _architecture(config: dict[str, Any]) -> str:
    return str((config.get("architectures") or [config["model_type"]])[0])


def _check_labels(expert: Member, base: Member) -> None:
    if "Classification" not in _architecture(base.config):
        return
    mine, theirs = (list((member.config.get("id2label") or {}).values()) for member in (expert, base))
    if mine != theirs:
        raise ModelError(
            f"the expert {expert.name} tells other classes apart ({', '.join(mine[:5])}) than the base "
            f"({', '.join(theirs[:5])}): heads of different classes can't be merged"
        )


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def task_of(base: Member) -> str:
    """What the models do, by the head that the base was saved with. Raises ModelError for one that Hone can't judge."""
    name = _architecture(base.config)
    task = models.task_of(name)
    if task is None:
        raise ModelError(f"the base is a {name}, which does none of {', '.join(models.CLASSES)}: it can't be judged")
    return task


@contextmanager
def clearing(context: Context) -> Iterator[None]:
    """The block after which nothing is left of what was only held for merging."""
    try:
        yield
    finally:
        for name in (HELD, TRIED):
            shutil.rmtree(context.work_dir / name, ignore_errors=True)
