"""The law of a result: what its file says of it, and the order in which its numbers are told.

A result comes out of Postgres with its keys sorted, so the order is the law's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gpu_jobs import registry

Told = Mapping[str, Any]


def knobs_of(result: Told) -> Any | None:
    """gpu_jobs.law.LawKnobs; None for a law that is not installed, or has changed since."""
    told = result["law"]
    method = registry.methods("laws").get(told["name"])
    try:
        return method and method.knobs.model_validate(told["knobs"])
    except ValueError:
        return None


def parameters_of(result: Told) -> list[Any]:
    """gpu_jobs.law.Parameter of each; [] where the law is not known."""
    knobs = knobs_of(result)
    return list(knobs.parameters) if knobs is not None else []


def parameters(result: Told) -> dict[str, float]:
    """Free and fixed."""
    return _in_order(result["parameters"], (each.name for each in parameters_of(result)))


def derived(result: Told) -> dict[str, float]:
    """Numbers made of the parameters; {} where there are none."""
    told, knobs = result.get("derived") or {}, knobs_of(result)
    if not told or knobs is None:
        return dict(told)
    module = registry.method_of(knobs).module
    return _in_order(told, module.derived(knobs, result["parameters"]) if hasattr(module, "derived") else ())


def variables(result: Told) -> dict[str, str]:
    """The columns that it reads, with their units."""
    knobs = knobs_of(result)
    return _in_order(result["law"]["variables"], knobs.variables if knobs is not None else ())


def names(result: Told, told: Iterable[str]) -> list[str]:
    """Columns in the order of the law's variables, then the others."""
    return list(_in_order(dict.fromkeys(told), variables(result)))


def _in_order(told: Mapping[str, Any], order: Iterable[str]) -> dict[str, Any]:
    return {name: told[name] for name in dict.fromkeys([*order, *told]) if name in told}
