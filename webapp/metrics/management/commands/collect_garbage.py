"""`manage.py collect_garbage`: frees the space of deleted runs and of what nothing refers to any more."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.accounts.models import Project
from webapp.metrics import garbage

UNITS = {"": "days", "h": "hours", "d": "days", "w": "weeks"}


class Command(BaseCommand):
    help = "Free the space of runs that were deleted days ago, of bytes that nothing refers to, and of expired keys."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--older-than", default="7d", metavar="7d", help="how long a deleted run is kept: 90d, 12h")
        parser.add_argument(
            "--project", metavar="SLUG", help="runs, series and keys of this project only; unused bytes anyway"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")

    def handle(self, *args: Any, older_than: str, project: str | None, dry_run: bool, **options: Any) -> None:
        age, chosen = age_of(older_than), None if project is None else project_of(project)
        went = (garbage.survey if dry_run else garbage.collect)(age, chosen)
        self.stdout.write(f"{'Would delete' if dry_run else 'Deleted'} {_told(went)}.")


def age_of(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([hdw]?)", text)
    if found is None:
        raise CommandError(f"--older-than must be days, or a number with h, d or w such as 90d, not {text!r}.")
    return timedelta(**{UNITS[found[2]]: float(found[1])})


def project_of(slug: str) -> Project:
    found = Project.objects.filter(slug=slug).first()
    if found is None:
        raise CommandError(f"--project must be the slug of a project, and there is no {slug!r}.")
    return found


def _told(went: garbage.Collected) -> str:
    parts = [
        f"{went.runs:,} runs with {_size(went.point_bytes)} of points",
        f"{went.blobs:,} blobs ({_size(went.blob_bytes)})",
        f"{went.keys:,} expired keys",
        f"{went.series:,} empty series",
        f"{went.workers:,} gone workers",
    ]
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
