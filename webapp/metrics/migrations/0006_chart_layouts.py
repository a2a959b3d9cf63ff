import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("metrics", "0005_metric_points"),
        ("accounts", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="ChartLayout",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=60)),
                ("settings", models.JSONField(default=dict)),
                ("is_default", models.BooleanField(default=False)),
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chart_layouts",
                        to="accounts.project",
                    ),
                ),
            ],
            options={"db_table": "chart_layouts", "ordering": ["name"]},
        ),
        migrations.AddConstraint(
            model_name="chartlayout",
            constraint=models.UniqueConstraint(fields=("project", "name"), name="chart_layout_names"),
        ),
        migrations.AddConstraint(
            model_name="chartlayout",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_default", True)), fields=("project",), name="chart_layout_default"
            ),
        ),
    ]
