"""The order of runs by what stands at a path of their specs: a walk along the index of these values."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Exists, F, FilteredRelation, OuterRef, Q, QuerySet

from webapp.runs.language.documents import is_place
from webapp.runs.models import Run, RunParam
from webapp.runs.paging import Order

BETWEEN, LONGEST_PATH = "\x1f", 500  # bytes, as in the migration `params`


def order(parts: Sequence[str]) -> Order | None:
    """None where the rows of `run_params` don't say it: for what stands in a list, and for a very long path."""
    path = BETWEEN.join(parts)
    if any(map(is_place, parts)) or path.count(BETWEEN) >= len(parts) or len(path.encode()) > LONGEST_PATH:
        return None

    def having(runs: QuerySet[Run]) -> QuerySet[Run]:
        joined = runs.annotate(sorted_param=FilteredRelation("params", condition=Q(params__path=path)))
        return joined.filter(sorted_param__value__isnull=False).annotate(sort_key=F("sorted_param__value"))

    def lacking(runs: QuerySet[Run]) -> QuerySet[Run]:
        return runs.exclude(Exists(RunParam.objects.filter(run=OuterRef("pk"), path=path)))

    return Order(having=having, lacking=lacking, is_json=True)
