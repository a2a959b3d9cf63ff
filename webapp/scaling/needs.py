"""Which columns a scaling fit reads: those of its law, and those that its filter, formulas and rules name."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from gpu_jobs import formula, registry
from gpu_jobs.law import LawKnobs
from gpu_jobs.points import Holdout, Points

if TYPE_CHECKING:
    from gpu_jobs.kinds.scaling_fit import Spec

Needs: TypeAlias = dict[str, str]  # a column, and the unit that the law says it has; empty where nothing says


def of_spec(spec: Spec) -> Needs:
    """Of `spec.points`: what the second law reads, too, where it has no points of its own."""
    second = of_law(spec.then.law) if spec.then is not None and spec.then.points is None else {}
    return _read(second | of_law(spec.law), spec.points, spec.holdout)


def of_second(spec: Spec) -> Needs:
    """Of `spec.then.points`; a hold-out foresees through the first law and reads its columns as well."""
    assert spec.then is not None and spec.then.points is not None
    first = spec.law.variables if spec.holdout else {}
    return _read(first | of_law(spec.then.law), spec.then.points, spec.holdout)


def of_law(law: LawKnobs) -> Needs:
    """What it reads and explains; a law that goes through optima reads the points that these are found among."""
    reduced = getattr(registry.method_of(law).module, "NEEDS", None)
    return dict.fromkeys(reduced, "") if reduced else {**law.variables, law.target: ""}


def _read(law: Needs, points: Points, holdout: Holdout | None) -> Needs:
    """What the source itself must have: a computed column is there once its formula's names are."""
    texts = [points.filter, *((holdout.by, holdout.where) if holdout else ())]
    named = [name for text in texts if text for name in _names(text)]
    named += [*([points.run_column] if points.run_column else []), *points.setting_columns]
    needs = law | {name: "" for name in named if name not in law}
    needs = {name: unit for name, unit in needs.items() if name not in points.compute}
    computed: set[str] = set()
    for name, text in points.formulas.items():
        needs |= {each: "" for each in _names(text) if each not in needs and each not in computed}
        computed.add(name)
    return needs


def _names(text: str) -> tuple[str, ...]:
    return formula.parse(text, conditions=True).names
