"""The job of a scaling fit: reads its points, fits, bootstraps, doubts, foresees, and tells all of it as one result.

The shape of the result is in the docstring of `kinds/scaling_fit.py`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gpu_jobs.context import Context
from gpu_jobs.engine import provenance
from gpu_jobs.engine.laws.chaining import chained
from gpu_jobs.engine.laws.frontier import frontier
from gpu_jobs.engine.laws.part import Part
from gpu_jobs.engine.laws.telling import finite, plain, told
from gpu_jobs.events import Artifact, Event, Log, Metrics, Phase, Result, Started

if TYPE_CHECKING:
    from gpu_jobs.kinds.scaling_fit import Spec


def fit(spec: Spec, context: Context) -> Iterator[Event]:
    """Started, phase, one metric, the log of doubts, fit.json, result."""
    began = time.perf_counter()
    yield _started(spec)
    yield Phase(name="fit", step=0)
    result, draws = _fitted(spec, context)
    result["wall_time_s"] = time.perf_counter() - began
    yield from _said(result)
    result = finite(result)
    text = json.dumps({"spec": spec.model_dump(mode="json"), "result": result, "draws": draws}, allow_nan=False)
    (context.work_dir / "fit.json").write_text(text)
    yield Artifact(path="fit.json")
    yield Result(values=result)


def _started(spec: Spec) -> Started:
    facts = {"law": spec.law.model_dump(mode="json"), "parameters": {"total": len(spec.law.free), "trainable": 0}}
    return Started(step=0, steps=0, facts=facts, provenance=provenance.collect(spec.seed))


def _fitted(spec: Spec, context: Context) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """(the result, every draw by name), of both laws where two are chained."""
    first = Part(spec, context, spec.law, spec.objective, spec.points)
    result = told(first, spec.predict)
    result["frontier"] = frontier(first, spec.frontier)
    result["then"] = None
    draws = {name: plain(values) for name, values in first.fit.draws().items()}
    if spec.then is not None:
        result["then"], more = chained(spec, context, first, spec.then, result)
        draws |= {f"then.{name}": plain(values) for name, values in more.items()}
    return result, draws


def _said(result: Mapping[str, Any]) -> Iterator[Event]:
    values = {"fit/objective": float(result["objective"]["value"])}
    if result["holdout"]:
        values["holdout/relative_error"] = float(result["holdout"]["mean_relative_error"])
    yield Metrics(step=0, values=values)
    named = ", ".join(f"{name} {value:.6g}" for name, value in result["parameters"].items())
    yield Log(
        message=f"{result['law']['title']}: {named}; {result['objective']['name']} {values['fit/objective']:.10g}"
    )
    for warning in result["warnings"]:
        yield Log(message=warning["message"], level="warning")
