"""What stands above the table of runs: its saved views, by what it is grouped, and its rows as a file."""

from __future__ import annotations

from functools import cached_property, lru_cache
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse

from webapp.accounts.models import Project
from webapp.http import PageRequest, is_fragment
from webapp.metrics.table.fields import Field, field, of_metric
from webapp.pages.runs.columns import column
from webapp.pages.runs.newest import runs_of
from webapp.pages.runs.query import TEXTS, Query
from webapp.runs import saved_views
from webapp.runs.models import Run, SavedView
from webapp.runs.saved_views import Shown
from webapp.sweeps.comparison.diff import flat

LONGEST = {"group": 600, "group_sort": 320}
MOST_OFFERED = 200
TELLING_RUNS = 200
USUAL_GROUPS = ("method", "status", "user", "tag", "kind")


class Tools:
    """Asked by the templates, so that a fragment without them pays for nothing."""

    def __init__(self, request: PageRequest, project: Project, query: Query) -> None:
        self.project, self.query, self.asked = project, query, request.GET

    @property
    def group(self) -> str:
        return text_of(self.asked, "group")

    @property
    def group_sort(self) -> str:
        return text_of(self.asked, "group_sort")

    @property
    def sort_of_groups(self) -> str:
        """Their order, but for one by a column that is not shown any more."""
        column_ = self.group_sort.partition(":")[2]
        return self.group_sort if not column_ or column_ in self.query.columns else ""

    @cached_property
    def views(self) -> list[SavedView]:
        return saved_views.views_of(self.project)

    @cached_property
    def view(self) -> SavedView | None:
        """The one that the address names, else one that shows the same."""
        named = self.asked.get("view", "")
        by_name = [view for view in self.views if str(view.pk) == named]
        same = [view for view in self.views if Shown.of_view(view).fields() == self.fields]
        return next(iter(by_name or same), None)

    @property
    def fields(self) -> dict[str, str]:
        """The address without its page."""
        told = {name: getattr(self.query, name) for name in TEXTS}
        told |= {"columns": ",".join(self.query.columns), "group": self.group, "group_sort": self.group_sort}
        return {name: value for name, value in told.items() if value}

    @property
    def shown(self) -> str:
        return urlencode(self.fields)

    @property
    def match(self) -> str:
        """Which runs these are."""
        return urlencode({name: value for name, value in self.fields.items() if name in TEXTS and name != "sort"})

    @property
    def ungrouped(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.fields.items() if name not in LONGEST]

    @property
    def csv_url(self) -> str:
        return self._export_url("csv")

    @property
    def parquet_url(self) -> str:
        return self._export_url("parquet")

    def _export_url(self, form: str) -> str:
        return (
            f"{reverse('run-export', args=[self.project.slug])}?{urlencode({'format': form, **dict(self.ungrouped)})}"
        )

    @property
    def group_urls(self) -> list[tuple[str, str]]:
        return [(name, f"?{urlencode([*self.ungrouped, ('group', name)])}") for name in USUAL_GROUPS]

    @property
    def groups_offered(self) -> list[str]:
        """Columns to group by: the parameters that the newest runs have, and what every run has."""
        newest = runs_of(self.project).order_by("-pk").values_list("pk", flat=True).first()
        return [*USUAL_GROUPS, *(_params_offered(newest) if newest else ())][:MOST_OFFERED]


@lru_cache(maxsize=128)
def _params_offered(newest: int) -> list[str]:
    """Those of the runs before this one, and of itself: a spec never changes, and to read 200 takes a while."""
    project = Run.objects.filter(pk=newest).values("project")
    runs = Run.objects.filter(project__in=project, pk__lte=newest, deleted_at=None).order_by("-pk")[:TELLING_RUNS]
    specs = runs.values_list("spec", flat=True)
    paths = sorted({path for spec in specs for path, value in flat(spec) if not isinstance(value, list | dict)})
    return [f"params.{path}" for path in paths]


def text_of(asked: QueryDict, name: str) -> str:
    return asked.get(name, "").replace("\x00", "").strip()[: LONGEST[name]]


def fields_of(query: Query) -> list[Field]:
    """The columns that the page shows, as a file or a table of groups has them."""
    found = (column(name) for name in dict.fromkeys(query.columns))
    return [of_metric(one.name, *one.metric) if one.metric else field(one.name) for one in found]


def address_of_view(request: PageRequest, project: Project) -> str:
    """Where somebody is led who asks for nothing but a view, or for nothing at all where a view is the default."""
    named = request.GET.get("view", "")
    if is_fragment(request) or set(request.GET) - {"view"}:
        return ""
    if "view" not in request.GET:
        view = saved_views.default_of(project)
    else:
        view = project.views.filter(pk=int(named)).first() if named.isdecimal() and len(named) < 18 else None
    return address_of(view) if view is not None and Shown.of_view(view).fields() else ""


def address_of(view: SavedView) -> str:
    return f"{reverse('runs', args=[view.project.slug])}?{Shown.of_view(view).url_query(view)}"
