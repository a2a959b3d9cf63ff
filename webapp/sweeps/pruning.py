"""What studies of pruning plan of a base spec of kind prune: which criteria fit it, and its points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gpu_jobs import registry as jobs
from webapp.accounts.errors import Invalid
from webapp.runs import plain, specs
from webapp.sweeps import planning
from webapp.sweeps.measures.pruned import METHOD, TARGET

KIND, FAMILY, RETRAIN = "prune", "criteria", "retrain"
PATTERN = "method.pattern"
EXAMPLE: planning.Json = {"kind": KIND}  # what an example base of these studies has besides a model and data
RETRAINED: planning.Json = {"kind": KIND, RETRAIN: {"method": {"name": "full"}, "steps": 100}}


class Fitting(NamedTuple):
    """`left_out`: {method: why}."""

    methods: list[str]
    left_out: dict[str, str]


def base_of(spec: Mapping[str, Any]) -> planning.Json:
    """Raises Invalid for the spec of another kind of job: it says neither what is pruned nor by which data."""
    planning.need_kind(KIND)
    planning.need_base(spec, KIND)
    return dict(spec)


def criteria(names: Sequence[str]) -> list[str]:
    """These; all that train nothing of their own when none is named. Raises Invalid for one that does not exist."""
    planning.need_methods("methods", names, FAMILY)
    known = jobs.methods(FAMILY)
    return list(names) or [name for name, method in known.items() if not hasattr(method.module, "Hooks")]


def shared(spec: Mapping[str, Any], methods: Sequence[str]) -> planning.Json:
    """{path: value} of the base method's own knobs that all of these methods have: every point asks for the same."""
    fields = [jobs.methods(FAMILY)[name].knobs.model_fields for name in methods]
    own = {key: value for key, value in dict(spec.get("method") or {}).items() if all(key in known for known in fields)}
    fixed = {METHOD, TARGET, PATTERN}
    named = {f"method.{key}": value for key, value in own.items() if isinstance(value, str | int | float | bool)}
    return {path: value for path, value in named.items() if path not in fixed}


def fitting(
    spec: Mapping[str, Any], methods: Sequence[str], sparsities: Sequence[float], fixed: Mapping[str, Any]
) -> Fitting:
    """Those whose specs are sound at every sparsity; of the others the first reason."""
    found = Fitting([], {})
    for name in methods:
        reasons = [reason for share in sparsities if (reason := why_not(spec, point(name, share, fixed)))]
        if reasons:
            found.left_out[name] = reasons[0]
        else:
            found.methods.append(name)
    return found


def points(
    spec: Mapping[str, Any],
    methods: Sequence[str],
    sparsities: Sequence[float],
    fixed: Mapping[str, Any],
    heats: Sequence[planning.Json],
) -> list[planning.Json]:
    """Every method at every sparsity and temperature. Sparsity 0 is the dense model, which needs a run only where it is
    retrained, and then one for all methods."""
    whole = 0.0 in sparsities and bool(spec.get(RETRAIN)) and not why_not(spec, point(methods[0], 0.0, fixed))
    untouched = [point(methods[0], 0.0, {**fixed, **heat}) for heat in heats] if whole else []
    pruned = [point(name, share, {**fixed, **heat}) for name in methods for share in sparsities if share
              for heat in heats]  # fmt: skip
    return untouched + pruned


def point(method: str, sparsity: float, fixed: Mapping[str, Any]) -> planning.Json:
    return {METHOD: method, TARGET: sparsity, **fixed}


def why_not(spec: Mapping[str, Any], changes: Mapping[str, Any]) -> str:
    """What is wrong with the spec changed so, in sentences; "" when it is sound."""
    try:
        specs.checked(plain.json(planning.changed(spec, changes)))
    except Invalid as error:
        return " ".join(item["msg"] for item in error.errors)
    return ""


def listed(points: Sequence[planning.Json]) -> tuple[planning.Json, planning.Json]:
    """The sampler and the space of a sweep over exactly these points."""
    paths = dict.fromkeys(path for one in points for path in one)
    space = {path: {"choices": list(dict.fromkeys(one[path] for one in points if path in one))} for path in paths}
    return {"name": "listed", "points": list(points)}, space


def heats(path: str, values: Sequence[str]) -> list[planning.Json]:
    """{path: value} of every temperature; one empty mapping where none is asked for."""
    return [{path: planning.value_of(value)} for value in values] if path else [{}]
