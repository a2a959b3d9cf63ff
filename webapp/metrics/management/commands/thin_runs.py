"""`manage.py thin_runs`: fewer points of runs that ended long ago, and none of their media."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.metrics import retention
from webapp.metrics.management.commands.collect_garbage import age_of, project_of
from webapp.metrics.retention import FEWEST_POINTS, Thinned
from webapp.runs.language import BadQuery


class Command(BaseCommand):
    help = "Of runs that ended long ago, keep of each series the points that its chart shows, and drop the media."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--older-than", required=True, metavar="180d", help="how long ago the runs ended: 12h, 2w")
        parser.add_argument("--project", metavar="SLUG", help="runs of this project only")
        parser.add_argument("--query", default="", metavar="QUERY", help="such as \"tags != 'keep'\", or words")
        parser.add_argument("--points", type=int, metavar="N", help=f"at most so many of each series, {FEWEST_POINTS}+")
        parser.add_argument("--media", action="store_true", help="drop all pictures and histograms")
        parser.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")

    def handle(
        self, *args: Any, older_than: str, project: str | None, query: str, points: int | None, media: bool,
        dry_run: bool, **options: Any,
    ) -> None:  # fmt: skip
        if points is None and not media:
            raise CommandError("Say what should go: --points N, --media, or both.")
        if points is not None and points < FEWEST_POINTS:
            raise CommandError(f"--points must be at least {FEWEST_POINTS}, not {points}.")
        try:
            runs = retention.old_runs(age_of(older_than), project_of(project) if project else None, query)
        except BadQuery as error:
            raise CommandError(f"--query can't be read: {error}") from None
        done = (retention.survey if dry_run else retention.thin)(runs, points, media=media)
        self.stdout.write(_told(done, "Would thin" if dry_run else "Thinned"))


def _told(done: Thinned, verb: str) -> str:
    points = f"{done.series:,} series from {done.points_before:,} to {done.points_after:,} points"
    return f"{verb} {points} and drop {done.media:,} media of {done.runs:,} old runs."
