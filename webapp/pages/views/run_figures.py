from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, JsonResponse
from django.views.decorators.http import require_safe

from webapp.charts import layers, memory, merges, phases
from webapp.http import PageRequest
from webapp.pages.views.run import run_for
from webapp.runs.models import Run

FIGURES: dict[str, Callable[[Run], dict[str, Any]]] = {
    "layers": lambda run: layers.figure(layers.data(run)),
    "memory": lambda run: memory.figure(memory.data(run)),
    "merges": lambda run: merges.figure(merges.data(run)),
    "phases": lambda run: phases.figure(phases.data(run)),
}


@require_safe
@login_required
def figure(request: PageRequest, slug: str, run_id: int, name: str) -> JsonResponse:
    """A figure for static/js/charts.js, its colours still the names of CSS variables."""
    run = run_for(request, slug, run_id)
    if name not in FIGURES:
        raise Http404(f"There is no figure {name}.")
    return JsonResponse(FIGURES[name](run))
