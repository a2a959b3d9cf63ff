"""Metrics in columns: a series is one metric of one run, a chunk is up to 8,192 of its points as packed arrays.

A series maps a step to a value and a time; of two points at one step, the one written last counts. Its chunks are
sorted by step, no step stands twice and no two chunks overlap: a range of steps is a range of chunks, and the summary
of a series is the sum of its chunks'.

The arrays are little-endian in `bytea`: steps int64, values float64, times float64 (seconds since the epoch). NaN and
the infinities are kept as they are. Three steps and more that are equally far apart, as most are, are kept as the first
and the distance.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F
from django.db.models.functions import Now, NullIf

from webapp.accounts.models import Project, User
from webapp.runs.models import Blob, Run

CHUNK_POINTS = 8192
ENVELOPE_BUCKETS = 64
CONTOUR_BUCKETS = 8
NAME_LENGTH = 250
KEY_LENGTH = 200


class ChartLayout(models.Model):
    """How the charts of a project's runs are drawn and which come first: see layouts.Settings."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="chart_layouts")
    name = models.CharField(max_length=60)
    settings = models.JSONField(default=dict)
    is_default = models.BooleanField(default=False)  # what somebody sees who has chosen nothing
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        db_table = "chart_layouts"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="chart_layout_names"),
            models.UniqueConstraint(
                fields=["project"], condition=models.Q(is_default=True), name="chart_layout_default"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Summary(models.Model):
    """What is known of points without reading them. `first` and `last` are by step and may be NaN."""

    count = models.BigIntegerField(default=0)
    finite_count = models.BigIntegerField(default=0)
    total = models.FloatField(default=0.0)  # sum of the finite values: mean = total / finite_count
    minimum = models.FloatField(null=True)  # of the finite values
    maximum = models.FloatField(null=True)
    first = models.FloatField(null=True)
    last = models.FloatField(null=True)
    last_step = models.BigIntegerField(null=True)
    first_time = models.FloatField(null=True)  # the earliest and the latest time, in whatever order they came
    last_time = models.FloatField(null=True)

    class Meta:
        abstract = True


class Series(Summary):
    """A metric of a run with its whole-series summary, so that a table of runs reads no chunk.

    Once made it stays: a run rewound to before its first point leaves a series of no points.
    """

    run = models.ForeignKey(Run, models.CASCADE, related_name="series", db_index=False)
    name = models.CharField(max_length=NAME_LENGTH)
    tail = ArrayField(models.IntegerField(), default=list)  # sizes of the last chunks that are not full yet, in order

    class Meta:
        db_table = "series"
        constraints = [models.UniqueConstraint(fields=["run", "name"], name="series_names")]
        indexes = [  # a table of runs is sorted and filtered by each; see docs/performance.md for what they cost
            models.Index(fields=["name", "last", "run"], name="series_by_last"),
            models.Index(fields=["name", "minimum", "run"], name="series_by_minimum"),
            models.Index(fields=["name", "maximum", "run"], name="series_by_maximum"),
            models.Index("name", F("total") / NullIf(F("finite_count"), 0), "run", name="series_by_mean"),
        ]

    def __str__(self) -> str:
        return self.name


class Chunk(Summary):
    """Points of one series in order of their steps.

    `envelope` is the chunk in small: its ends and, of each of 64 equal runs of its points, the first lowest, first
    highest and first NaN one, packed like the points (steps, values, times). `contour` is the same of 8 runs, `outline`
    of one: five points at most. Chunks at least half full have all three, but those from before there were such.
    """

    series = models.ForeignKey(Series, models.CASCADE, related_name="chunks", db_index=False)
    first_step = models.BigIntegerField()
    steps = models.BinaryField()
    values = models.BinaryField()
    times = models.BinaryField()
    envelope = models.BinaryField(null=True)
    contour = models.BinaryField(null=True)
    outline = models.BinaryField(null=True)

    class Meta:
        db_table = "metric_chunks"
        constraints = [models.UniqueConstraint(fields=["series", "first_step"], name="chunks_of_series")]

    def __str__(self) -> str:
        return f"{self.series_id}: {self.first_step}-{self.last_step}"


class PointsKey(models.Model):
    """A request that has stored its points: the same one, sent again, stores nothing more. See keys.py."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=KEY_LENGTH)
    digest = models.BinaryField()  # SHA-256 of the unpacked body
    points = models.BigIntegerField(null=True)  # how many it stored
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "points_keys"
        constraints = [models.UniqueConstraint(fields=["run", "key"], name="points_keys_once")]

    def __str__(self) -> str:
        return f"{self.run_id}: {self.key}"


class MediaItem(models.Model):
    """A picture or a histogram that a run has logged at a step; of two at one step of a series the later one counts.

    A series of media is all items of one name, and all of them are of one kind. A picture is a blob; a histogram lies
    here: `edges` (bins + 1) and `counts` (bins), packed like the columns of a chunk.
    """

    class Kind(models.TextChoices):
        IMAGE = "image"
        HISTOGRAM = "histogram"

    run = models.ForeignKey(Run, models.CASCADE, related_name="media", db_index=False)
    name = models.CharField(max_length=NAME_LENGTH)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    step = models.BigIntegerField()
    time = models.FloatField()
    caption = models.TextField(default="", blank=True)
    blob = models.ForeignKey(Blob, models.PROTECT, null=True, related_name="media")
    format = models.CharField(max_length=4, default="", blank=True)  # see media/images.py
    width = models.IntegerField(null=True)  # pixels
    height = models.IntegerField(null=True)
    edges = models.BinaryField(null=True)
    counts = models.BinaryField(null=True)

    class Meta:
        db_table = "media_items"
        ordering = ["step"]
        constraints = [models.UniqueConstraint(fields=["run", "name", "step"], name="media_steps")]

    def __str__(self) -> str:
        return f"{self.run_id}: {self.name} at step {self.step}"
