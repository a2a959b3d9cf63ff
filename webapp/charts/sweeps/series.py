"""The objective over steps, for those trials that a chart draws."""

from __future__ import annotations

from collections.abc import Iterable

from webapp.metrics.queries import raw_of
from webapp.sweeps.curves import Curve
from webapp.sweeps.models import Replicate, Sweep
from webapp.sweeps.queries import curves_from, definition
from webapp.sweeps.states import Role


def curves_of(sweep: Sweep, trials: Iterable[int]) -> list[Curve]:
    """As queries.curves, of the trials with these numbers only; three queries."""
    found = Replicate.objects.filter(trial__sweep=sweep, role=Role.TUNE, trial__number__in=list(trials))
    few = ("seed", "role", "run__steps", "trial__number", "trial__status", "trial__judged_step")
    replicates = list(found.select_related("trial", "run").only(*few))
    objective = definition(sweep).objective[0]
    return curves_from(replicates, raw_of([item.run_id for item in replicates], objective.metric), objective)
