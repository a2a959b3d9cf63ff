"""What protocols make sweeps of: variants of a base spec, grids, and a word about what is missing here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from gpu_jobs import registry as jobs
from webapp.accounts.errors import Invalid
from webapp.runs.merging import merged

Json = dict[str, Any]
SIZES = (
    "Model sizes, smallest first: layers x width (4x128), a built-in size (nano), or a trained run (run:12). "
    "Empty: the base run's model."
)
SizeName = Annotated[str, Field(pattern=r"^(\d+x\d+(x\d+)?|run:\d+|[a-z][a-z0-9-]*)$", max_length=60)]
MethodName = Annotated[str, Field(pattern=r"^[a-z0-9_]+$", max_length=60)]
Path = Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$", max_length=200)]
KEPT: Sequence[str] = ("architecture", "context", "vocab", "tie_embeddings")  # of the base's new model
HEAD_WIDTHS = (64, 32, 16, 8, 4, 2)  # of which the first that divides the width is a head's


class Planned(NamedTuple):
    """One sweep to be made. `labels` say which part of the study it is; they are kept with the sweep. `notes`: what to
    know before it begins, in sentences."""

    name: str
    definition: Json
    labels: Json
    notes: Sequence[str] = ()


def grid(low: float, high: float, points: int) -> list[float]:
    """Evenly spaced logarithms, both ends included, to four digits."""
    if points == 1:
        return [low]
    step = math.log(high / low) / (points - 1)
    return [float(f"{low * math.exp(step * place):.4g}") for place in range(points)]


def whole_grid(low: int, high: int, points: int) -> list[int]:
    """The same of whole numbers, each once."""
    return sorted({round(value) for value in grid(low, high, points)} | {low, high})


def nested(path: str, value: Any) -> Json:
    """{"optimizer": {"lr": value}} of "optimizer.lr"."""
    for step in reversed(path.split(".")):
        value = {step: value}
    return value  # type: ignore[no-any-return]


def changed(spec: Mapping[str, Any], changes: Mapping[str, Any]) -> Json:
    """The spec with these paths set."""
    result = dict(spec)
    for path, value in changes.items():
        result = merged(result, nested(path, value))
    return result


def sized(spec: Mapping[str, Any], size: str) -> Json:
    """The spec with a model of this size; "" leaves it. A new model keeps what the base says of its architecture."""
    return {**spec, "model": _model(dict(spec.get("model") or {}), size)} if size else dict(spec)


def _model(base: Json, size: str) -> Json:
    if size.startswith("run:"):
        return {"source": "run", "run": int(size.removeprefix("run:"))}
    if not re.match(r"\d+x\d+", size):
        return {"source": "builtin", "name": size}
    layers, width, *heads = (int(part) for part in size.split("x"))
    head = next(head for head in (*HEAD_WIDTHS, 1) if (width % head == 0 and width // head > 1) or head == 1)
    sizes = {"layers": layers, "width": width, "heads": heads[0] if heads else width // head}
    if base.get("source") == "library":
        own = {
            key: value for key, value in base.get("architecture", {}).items() if key != "ffn"
        }  # it goes by the width
        return {"source": "library", "architecture": {**own, **sizes}}
    return {"source": "config", **{key: base[key] for key in KEPT if key in base}, **sizes}


def definition(spec: Mapping[str, Any], sampler: Json, space: Json, metric: str, goal: str, **more: Any) -> Json:
    """A sweep as in webapp/sweeps/definition.py. Without a space it is one point: the spec as it is."""
    space = space or {"steps": {"choices": [spec.get("steps", 1000)]}}
    asked = {"sampler": sampler, "space": space, "seed": more.pop("seed", 0)}
    return {"spec": dict(spec), "search": asked, "objective": [{"metric": metric, "goal": goal}], **more}


def grid_of(spec: Mapping[str, Any], space: Mapping[str, Sequence[Any]], metric: str, goal: str, **more: Any) -> Json:
    """Every combination of these values, once."""
    count = math.prod(len(values) for values in space.values())
    choices = {path: {"choices": list(values)} for path, values in space.items()}
    return definition(spec, {"name": "grid"}, choices, metric, goal, trials=more.pop("trials", count), **more)


def value_of(text: str) -> Any:
    """What somebody typed as one value of a list: a number, true, null, or else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def need_kind(name: str) -> None:
    """Raises Invalid where no such kind of job is installed."""
    if name not in jobs.kinds():
        raise Invalid.field(
            "name", f"This protocol needs jobs of kind {name!r}, which this installation does not have."
        )


def need_base(spec: Mapping[str, Any], kind: str) -> None:
    """Raises Invalid for the spec of another kind of job, whose fields say nothing to this one."""
    if spec.get("kind") != kind:
        raise Invalid.field("spec", f"This protocol starts from a spec of kind {kind!r}, not {spec.get('kind')!r}.")


def need_methods(field: str, names: Iterable[str], *families: str) -> None:
    """Raises Invalid that names the first method which is in none of these families."""
    known = {name for family in families if family in jobs.families() for name in jobs.methods(family)}
    for name in names:
        if name not in known:
            there = ", ".join(sorted(known)) or "none yet"
            raise Invalid.field(field, f"There is no method {name!r} among {' and '.join(families)}: there is {there}.")
