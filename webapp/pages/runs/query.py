"""What is asked of the runs table, which is its address."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

from webapp.accounts.models import Project
from webapp.pages.runs.columns import RUN
from webapp.runs.tables import MOST_CHARACTERS

PAGE_ROWS = 50
MOST_COLUMNS = 40
COMMAS = re.compile(r'(?:"[^"]*"|[^,"])+')  # what stands between commas; one in quotes is a part of a name
TEXTS = ("q", "status", "kind", "tag", "sort")


@dataclass(frozen=True)
class Query:
    """What is asked of the table. It is its address: `url_query` gives it back."""

    q: str = ""
    status: str = ""
    kind: str = ""
    tag: str = ""
    sort: str = ""
    columns: tuple[str, ...] = ()
    rows: int = PAGE_ROWS
    after: str = ""
    before: str = ""

    @classmethod
    def of(cls, data: QueryDict) -> Query:
        asked = data.getlist("column") or COMMAS.findall(data.get("columns", ""))
        names = dict.fromkeys(each.replace("\x00", "").strip() for each in asked)
        columns = tuple(name for name in names if name not in ("", RUN.name))  # a run's name stands first anyway
        rows = data.get("rows", "")
        return cls(
            **{name: _text(data, name) for name in TEXTS},
            columns=columns[:MOST_COLUMNS],
            rows=max(10, min(int(rows), 200)) if rows.isdecimal() and len(rows) < 9 else PAGE_ROWS,
            after=data.get("after", "")[:2000],
            before=data.get("before", "")[:2000],
        )

    def url_query(self, **changes: Any) -> str:
        """The address's query with some of it changed, from the first page on; what is empty is left out."""
        asked = replace(self, **{"after": "", "before": "", **changes})
        fields = {name: getattr(asked, name) for name in TEXTS}
        fields["columns"] = ",".join(asked.columns)
        fields |= {"rows": asked.rows if asked.rows != PAGE_ROWS else "", "after": asked.after, "before": asked.before}
        query = urlencode({name: value for name, value in fields.items() if value})
        return f"?{query}" if query else "?"

    def chosen(self, project: Project) -> str:
        """Which runs these are, as the query of an address that holds runs of many projects."""
        fields = {"project": project.slug, **{name: getattr(self, name) for name in TEXTS if name != "sort"}}
        return urlencode({name: value for name, value in fields.items() if value})

    def filter(self, project: Project) -> tuple[object, ...]:
        return ("page", project.pk, self.q, self.status, self.kind, self.tag)

    @property
    def is_filtered(self) -> bool:
        return bool(self.q) or self.is_narrower

    @property
    def is_narrower(self) -> bool:
        """Whether more is asked for than the query."""
        return bool(self.status or self.kind or self.tag)


def _text(data: QueryDict, name: str) -> str:
    """Cut one character above what a query may have, so that one that is too long is refused, not misread."""
    return data.get(name, "").replace("\x00", "").strip()[: MOST_CHARACTERS + 1 if name == "q" else 250]
