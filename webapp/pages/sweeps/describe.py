"""What one can say of a sweep from its definition."""

from __future__ import annotations

from typing import Any

from webapp.pages.runs.describe import spec_in_order
from webapp.runs.models import Run
from webapp.sweeps.definition import Definition, Objective


def values_of(checked: Definition) -> dict[str, Any]:
    """Everything but the space and the spec, for a table of names and values; what is not limited is left out."""
    definition = checked.model_dump(mode="json", exclude_none=True)
    return {
        "objective": "; ".join(objective(one) for one in checked.objective),
        "sampler": {**definition["search"]["sampler"], "seed": checked.search.seed},
        "stopper": definition.get("stopper") or "none",
        "trials": checked.trials,
        "concurrency": checked.concurrency,
        "seeds": definition["seeds"],
        "budget": definition["budget"] or "none",
    }


def objective(one: Objective) -> str:
    """ "minimize eval/loss", "maximize the mean of eval/accuracy"."""
    return f"{one.goal} {one.metric if one.statistic == 'last' else f'the {one.statistic} of {one.metric}'}"


def spec_of(checked: Definition) -> dict[str, Any]:
    """The base spec in the order of its schema: Postgres keeps none."""
    return spec_in_order(Run(spec=checked.spec, kind=str(checked.spec.get("kind", ""))))
