"""`manage.py collect_garbage`: frees the space of deleted runs and of bytes that nothing refers to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.runs.actions import garbage


class Command(BaseCommand):
    help = "Free the space of runs that were deleted days ago and of stored bytes that nothing refers to."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=float, default=7.0, help="how long a deleted run is kept (default 7)")

    def handle(self, *args: Any, days: float, **options: Any) -> None:
        if days < 0:
            raise CommandError(f"--days must not be negative, not {days:g}.")
        went = garbage.collect(timedelta(days=days))
        size = f"{went.bytes / 1e6:,.1f} MB"
        self.stdout.write(f"Deleted {went.runs} runs, {went.blobs} blobs ({size}) and {went.workers} gone workers.")
