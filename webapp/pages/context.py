"""What every page's frame shows: the current project, the nav with its counts, the slots."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from gpu_jobs import registry
from webapp.accounts.models import Project, Role
from webapp.accounts.roles import projects_of, role_of, suffices
from webapp.http import PROJECT_KEY
from webapp.pages import frame, queries

BELOW = {"scaling": ("fit", "fits", "ladder", "ladders")}  # pages below an entry that are called otherwise


@dataclass(frozen=True)
class Item:
    label: str
    url: str
    current: bool
    count: int | None = None
    key: str = ""


@dataclass(frozen=True)
class Group:
    title: str
    entries: list[Item]


class Chrome:
    """Asked lazily by base.html, so that a fragment pays for nothing that it does not draw."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request

    @cached_property
    def projects(self) -> list[Project]:
        return list(projects_of(self.request.user))

    @cached_property
    def project(self) -> Project | None:
        """The project of this page, else the one visited last, else the only one."""
        chosen = getattr(self.request, "project", None)
        if chosen is not None:
            return chosen  # type: ignore[no-any-return]
        by_slug = {project.slug: project for project in self.projects}
        return by_slug.get(self.request.session.get(PROJECT_KEY, "")) or (self.projects[0] if self.projects else None)

    @property
    def search_url(self) -> str:
        return reverse("runs", args=[self.project.slug]) if self.project else ""

    @cached_property
    def new_run_url(self) -> str:
        """Where the key `n` leads; empty to those who may not queue runs."""
        if self.project is None or not suffices(self._role, Role.EDITOR):
            return ""
        return reverse("run-new", args=[self.project.slug])

    @property
    def _role(self) -> Role | None:
        """In the project; a page below it has asked already."""
        assert self.project is not None
        known: Role | None = getattr(self.request, "role", None)
        return known or role_of(self.request.user, self.project)

    @cached_property
    def counts(self) -> frame.Counts:
        return frame.counts(self.project.pk if self.project else None)

    @property
    def here(self) -> str:
        """The label of the nav's current entry: the last crumb of pages that name none themselves."""
        return next((item.label for group in self.nav for item in group.entries if item.current), "")

    @cached_property
    def nav(self) -> list[Group]:
        groups = [Group("", self._project_items()), Group("Library", self._library()), Group("System", self._system())]
        return [group for group in groups if group.entries]

    def _project_items(self) -> list[Item]:
        if self.project is None:
            return [self._item("Projects", "projects")]
        slug = self.project.slug
        return [
            self._item("Runs", "runs", slug, count=queries.run_count(self.project.pk), key="g r"),
            self._item("Compare", "compare", key="g c"),
            self._item("Sweeps", "sweeps", slug, count=self.counts.sweeps, key="g s"),
            self._item("Scaling", "scaling", slug, count=self.counts.scaling, key="g l"),
            *self._mounted("Schedules", "schedules", slug),
            *self._mounted("Protocols", "protocols", slug),
            self._item("Queue", "queue", count=self.counts.waiting, key="g q"),
            self._item("Members", "project-members", slug),
        ]

    def _library(self) -> list[Item]:
        count = sum(len(registry.methods(family)) for family in registry.families())
        return [self._item("Methods", "methods", count=count, key="g m")]

    def _system(self) -> list[Item]:
        return [
            self._item("Workers", "workers", count=self.counts.workers, key="g w"),
            self._item("Access", "tokens"),
        ]

    def _mounted(self, label: str, name: str, slug: str) -> list[Item]:
        """The entry of a page that this installation may not have."""
        try:
            return [self._item(label, name, slug)]
        except NoReverseMatch:
            return []

    def _item(self, label: str, name: str, *args: str, count: int | None = None, key: str = "") -> Item:
        return Item(label, reverse(name, args=args), self._is_current(name), count, key)

    def _is_current(self, name: str) -> bool:
        """A page below another marks it too: run and run-new mark runs, method marks methods."""
        match = self.request.resolver_match
        here = match.url_name or "" if match else ""
        return here == name or here.split("-")[0] in (name, name.rstrip("s"), *BELOW.get(name, ()))


def chrome(request: HttpRequest) -> dict[str, Any]:
    return {"chrome": Chrome(request)}
