"""What a project's newest runs tell: of 100,000 runs, all of them would take seconds."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet

from webapp.accounts.models import Project
from webapp.metrics.models import Series
from webapp.metrics.querying import TELLING_RUNS
from webapp.runs.models import Run


def runs_of(project: Project) -> QuerySet[Run]:
    return Run.objects.filter(project=project, deleted_at=None)


def newest(project: Project) -> QuerySet[Run]:
    return runs_of(project).order_by("-id")[:TELLING_RUNS]


def metric_names(project: Project) -> list[str]:
    """Every metric that one of the project's newest runs has logged, by name."""
    names = Series.objects.filter(run__in=newest(project).values("pk")).values_list("name", flat=True)
    return sorted(names.distinct())


def logged(project: Project, names: Collection[str]) -> list[str]:
    """Which of these metrics one of the newest runs has logged."""
    series = Series.objects.filter(name__in=names, run__in=newest(project).values("pk"))
    return list(series.values_list("name", flat=True).distinct()) if names else []


class Newest:
    """What the project's newest runs tell, read once, when first asked for."""

    def __init__(self, project: Project) -> None:
        self.project = project

    @cached_property
    def _rows(self) -> list[tuple[str, list[str], bool]]:
        has_method = ExpressionWrapper(Q(spec__has_key="method"), BooleanField())
        return list(newest(self.project).annotate(has_method=has_method).values_list("kind", "tags", "has_method"))

    @property
    def kinds(self) -> list[str]:
        return sorted({kind for kind, _, _ in self._rows})

    @property
    def tags(self) -> list[str]:
        return sorted({tag for _, tags, _ in self._rows for tag in tags})

    @property
    def name_methods(self) -> bool:
        """Whether one of them does; or there is none."""
        return not self._rows or any(has_method for _, _, has_method in self._rows)
