"""The fit of a ladder: its runs by their tag, the held-out ones named by what they were asked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gpu_jobs import registry
from webapp.scaling.definition import Definition
from webapp.scaling.models import Ladder

_OWN = re.compile(r"(ladder|rung)-\d+")


def tag(ladder: Ladder) -> str:
    """What all its runs bear."""
    return f"ladder-{ladder.pk}"


def is_own(text: str) -> bool:
    """Whether a ladder has put this tag on a run."""
    return _OWN.fullmatch(text) is not None


def spec(ladder: Ladder, definition: Definition, held_out: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A scaling_fit spec. N, D and loss are the usual ones: N without embeddings, D as trained, the last eval/loss."""
    found: dict[str, Any] = {
        "kind": "scaling_fit",
        "law": definition.law.model_dump(mode="json"),
        "points": {"source": "runs", "query": f"tags = '{tag(ladder)}' and kind = 'pretrain'"},
        "objective": definition.objective.model_dump(mode="json"),
        "bootstrap": definition.bootstrap.model_dump(mode="json"),
    }
    if where := " or ".join(dict.fromkeys(map(_named, held_out))):
        found["holdout"] = {"where": where, "may_be_empty": True}
    if has_optimum(definition.law):
        found["frontier"] = [definition.target_flops]
    return found


def has_optimum(law: Any) -> bool:
    """Whether the law tells the best size of a budget."""
    return hasattr(registry.method_of(law).module, "optimum")


def _named(plan: Mapping[str, Any]) -> str:
    """What no other rung has: whole numbers, so that they can be compared."""
    return f"(N == {plan['N']} and steps == {plan['steps']} and batch_size == {plan['batch_size']})"
