"""Indexes for tables of 100,000 runs: by name, state, user and time, and what the spec has."""

from django.contrib.postgres.indexes import GinIndex
from django.db import migrations, models

LIVING = models.Q(deleted_at=None)


def by(name: str, *fields: str) -> migrations.AddIndex:
    index = models.Index(fields=["project", *fields, "id"], name=name, condition=LIVING)
    return migrations.AddIndex(model_name="run", index=index)


class Migration(migrations.Migration):
    dependencies = [("runs", "0004_outside")]

    operations = [
        migrations.AddIndex(
            model_name="run", index=GinIndex(fields=["spec"], name="runs_spec", opclasses=["jsonb_path_ops"])
        ),
        by("runs_by_name", "name"),
        by("runs_by_status", "status"),
        by("runs_by_user", "created_by"),
        by("runs_by_time", "started_at", "ended_at"),
    ]
