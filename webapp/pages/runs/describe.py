"""What one can say of a run from its row: its method, its model, how far it is, what it took."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from gpu_jobs import registry
from gpu_jobs import spec as specs
from webapp.pages.forms.schema import Json, resolved, union, without_null
from webapp.runs.models import Run
from webapp.runs.queries import positions
from webapp.runs.states import Status


def dig(values: Any, *path: str) -> Any:
    """The value at `path` inside nested dicts, or None."""
    for key in path:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def number_at(values: Any, *path: str) -> float | None:
    """The number at `path`, or None when there is none: facts and results come from the training code."""
    value = dig(values, *path)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def method_of(run: Run) -> str:
    """The method's title with what tells two runs of it apart: "LoRA r8"."""
    knobs = dig(run.spec, "method")
    name = dig(knobs, "name")
    if not isinstance(name, str):
        return ""
    return f"{_titles().get(name, name)} r{knobs['rank']}" if "rank" in knobs else _titles().get(name, name)


@cache
def _titles() -> dict[str, str]:
    families = (family for family in registry.families() if family not in ("optimizers", "schedules"))
    return {name: method.title for family in families for name, method in registry.methods(family).items()}


def model_of(run: Run) -> str:
    """Where its model comes from: a size, a run, a folder, a hub id."""
    return _source(
        dig(run.spec, "model"), {"run": "run {}", "config": "{}"}, ("name", "architecture", "run", "path", "id")
    )


def data_of(run: Run) -> str:
    return _source(dig(run.spec, "data"), {"upload": "upload {}"}, ("name", "path", "id", "upload"))


def _source(source: Any, forms: dict[str, str], keys: tuple[str, ...]) -> str:
    value = next((source[key] for key in keys if source.get(key)), "") if isinstance(source, dict) else ""
    value = value.get("name", "") if isinstance(value, dict) else value  # an architecture with its knobs
    kind = str(dig(source, "source"))
    return forms.get(kind, "{}").format(value) if value else ""


def trainable_of(run: Run) -> float | None:
    """The trainable share of all parameters."""
    total = number_at(run.facts, "parameters", "total")
    trainable = number_at(run.facts, "parameters", "trainable")
    return trainable / total if total and trainable is not None else None


def memory_of(run: Run) -> float | None:
    """Measured peak memory in bytes, once the run has ended."""
    return number_at(run.result, "memory", "peak_bytes")


def position_of(run: Run) -> int | None:
    """Its place in the queue from 1; None unless it is queued."""
    return positions([run.pk]).get(run.pk) if run.status == Status.QUEUED else None


def spec_in_order(run: Run) -> dict[str, Any]:
    """The spec in the order in which its schema declares the fields: Postgres keeps none."""
    if run.kind not in registry.kinds():
        return dict(run.spec)
    schema = specs.schema(run.kind)
    return _in_order(run.spec, schema, schema.get("$defs", {}))


def _in_order(values: dict[str, Any], schema: Json, definitions: Json) -> dict[str, Any]:
    choice = union(schema, definitions)
    if choice:
        schema = choice.options.get(str(values.get(choice.tag)), schema)
    properties = schema.get("properties", {})
    tags = [name for name, item in properties.items() if "const" in item]
    names = [name for name in (*tags, *properties, *values) if name in values]
    return {name: _ordered(values[name], properties.get(name, {}), definitions) for name in dict.fromkeys(names)}


def _ordered(value: Any, schema: Json, definitions: Json) -> Any:
    if not isinstance(value, dict):
        return value
    return _in_order(value, without_null(resolved(schema, definitions), definitions)[0], definitions)


def remaining_s(run: Run, now: datetime) -> float | None:
    """Seconds it will still take at the pace of its present attempt; None while that can't be said."""
    if run.status != Status.RUNNING or not run.steps:
        return None
    attempt = max(run.attempts.all(), key=lambda item: item.number, default=None)
    if attempt is None:
        return None
    done = run.step - (attempt.resumed_from_step or 0)
    took = (now - attempt.started_at).total_seconds()
    return took / done * (run.steps - run.step) if done > 0 and took > 0 else None
