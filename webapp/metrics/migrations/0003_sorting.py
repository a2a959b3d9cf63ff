"""Indexes by which runs are sorted and filtered by each aggregate of a metric."""

from __future__ import annotations

from django.db import migrations, models
from django.db.models import F
from django.db.models.functions import NullIf


class Migration(migrations.Migration):
    dependencies = [("metrics", "0002_storage"), ("runs", "0003_shares")]

    operations = [
        migrations.RemoveIndex("series", "series_by_name"),
        migrations.AddIndex("series", models.Index(fields=["name", "last", "run"], name="series_by_last")),
        migrations.AddIndex("series", models.Index(fields=["name", "minimum", "run"], name="series_by_minimum")),
        migrations.AddIndex("series", models.Index(fields=["name", "maximum", "run"], name="series_by_maximum")),
        migrations.AddIndex(
            "series",
            models.Index("name", F("total") / NullIf(F("finite_count"), 0), "run", name="series_by_mean"),
        ),
    ]
