"""Saved views of a project's table of runs."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("runs", "0005_table_indexes"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="SavedView",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=60)),
                ("q", models.CharField(blank=True, default="", max_length=2000)),
                ("status", models.CharField(blank=True, default="", max_length=250)),
                ("kind", models.CharField(blank=True, default="", max_length=250)),
                ("tag", models.CharField(blank=True, default="", max_length=250)),
                ("sort", models.CharField(blank=True, default="", max_length=300)),
                (
                    "columns",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=300), blank=True, default=list, size=None
                    ),
                ),
                ("group", models.CharField(blank=True, default="", max_length=600)),
                ("group_sort", models.CharField(blank=True, default="", max_length=320)),
                ("is_default", models.BooleanField(default=False)),
                ("changed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="views", to="accounts.project"
                    ),
                ),
            ],
            options={
                "db_table": "saved_views",
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "name"), name="saved_view_names"),
                    models.UniqueConstraint(
                        condition=models.Q(("is_default", True)), fields=("project",), name="saved_view_default"
                    ),
                    models.CheckConstraint(condition=models.Q(("name", ""), _negated=True), name="saved_view_has_name"),
                    models.CheckConstraint(condition=models.Q(("columns__len__lte", 40)), name="saved_view_columns"),
                ],
            },
        ),
    ]
