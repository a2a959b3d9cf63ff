"""What became of a model that was made smaller: its quality before and after, and what it takes on disk and in use."""

from __future__ import annotations

from typing import Any, NamedTuple

from webapp.charts.layers import in_order
from webapp.pages.runs.describe import dig, number_at
from webapp.pages.runs.facts import NOTHING, Fact, signed
from webapp.pages.templatetags import hone as text
from webapp.runs.models import Run

STAGES = {"dense": "Dense", "pruned": "Made smaller", "recovered": "Retrained"}


class Stage(NamedTuple):
    """A value, and its relative difference to dense."""

    value: str
    difference: str


class Quality(NamedTuple):
    """One metric over the stages that the run went through."""

    metric: str
    stages: list[Stage]


class Layer(NamedTuple):
    name: str
    share: str


class Shrunk(NamedTuple):
    heads: list[str]
    qualities: list[Quality]
    facts: list[Fact]
    layers: list[Layer]


def shrunk_of(run: Run) -> Shrunk | None:
    """From the result of a run that made a model smaller; None of any other."""
    told = dig(run.result, "quality")
    dense = dig(told, "dense")
    if not isinstance(dense, dict):
        return None
    stages = [stage for stage in STAGES if isinstance(dig(told, stage), dict)]
    qualities = [Quality(name, [_stage(dig(told, stage, name), value) for stage in stages])
                 for name, value in dense.items()]  # fmt: skip
    heads = [STAGES[stage] for stage in stages]
    return Shrunk(heads, qualities, [fact for fact in _facts(run) if fact.value != NOTHING], _layers(run))


def _stage(value: Any, dense: Any) -> Stage:
    found, before = number_at({"it": value}, "it"), number_at({"it": dense}, "it")
    if found is None:
        return Stage(value if isinstance(value, str) else NOTHING, "")  # what JSON can't hold is told as text
    if before is None or found is before or not before:
        return Stage(text.metric(found), "")
    return Stage(text.metric(found), f"{signed(100 * (found - before) / abs(before))} %")


def _facts(run: Run) -> list[Fact]:
    return [_sparsity(run), _bytes(run), _parameters(run), _flops(run), _latency(run), _memory(run)]


def _sparsity(run: Run) -> Fact:
    measured, target, whole = (number_at(run.result, "sparsity", name) for name in ("measured", "target", "whole"))
    if measured is None:
        return Fact("Sparsity", NOTHING)
    about = [
        str(dig(run.result, "sparsity", "pattern") or ""),
        f"asked {text.percent(target)}" if target is not None else "",
        f"{text.percent(whole)} of the whole model" if whole is not None else "",
    ]
    return Fact("Sparsity", text.percent(measured), " · ".join(filter(None, about)))


def _bytes(run: Run) -> Fact:
    stored, dense = (number_at(run.result, "bytes", name) for name in ("stored", "dense"))
    bits = number_at(run.result, "bits_per_parameter")
    note = [_of(stored, dense, text.bytes_(dense)), f"{bits:.3g} bits per parameter" if bits is not None else ""]
    return Fact("Stored", text.bytes_(stored) or NOTHING, " · ".join(filter(None, note)))


def _parameters(run: Run) -> Fact:
    nonzero, dense = (number_at(run.result, "parameters", name) for name in ("nonzero", "dense"))
    return Fact("Parameters left", text.si(nonzero) or NOTHING, _of(nonzero, dense, text.si(dense)))


def _flops(run: Run) -> Fact:
    stored, dense = (number_at(run.result, "flops", name) for name in ("stored", "dense"))
    note = _of(stored, dense, text.si(dense))
    return Fact("FLOPs a sample", text.si(stored) or NOTHING, f"{note} · on dense kernels" if note else "")


def _latency(run: Run) -> Fact:
    stored, dense = (number_at(run.result, "latency", name) for name in ("stored_s", "dense_s"))
    device = dig(run.result, "latency", "device")
    note = " · ".join(filter(None, [_of(stored, dense, _time(dense)), f"on {device}" if device else ""]))
    return Fact("Latency", _time(stored) or NOTHING, note if stored is not None else "")


def _memory(run: Run) -> Fact:
    peak = number_at(run.result, "memory", "peak_bytes")
    return Fact("Peak memory", text.bytes_(peak) or NOTHING, "of the whole job")


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _of(value: float | None, dense: float | None, written: str) -> str:
    """ "0.5x of 1.4 MiB"."""
    return f"{value / dense:.3g}x of {written}" if value is not None and dense else ""


def _layers(run: Run) -> list[Layer]:
    found = dig(run.result, "sparsity", "layers")
    names = sorted(found, key=in_order) if isinstance(found, dict) else []
    return [Layer(name, text.percent(share)) for name in names if (share := number_at(found, name)) is not None]
