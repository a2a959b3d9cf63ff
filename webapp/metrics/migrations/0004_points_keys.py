"""Requests for points that came with an `Idempotency-Key`."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("metrics", "0003_sorting"), ("runs", "0003_shares")]

    operations = [
        migrations.CreateModel(
            name="PointsKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=200)),
                ("digest", models.BinaryField()),
                ("points", models.BigIntegerField(null=True)),
                ("created_at", models.DateTimeField(db_default=Now())),
                (
                    "run",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="runs.run"
                    ),
                ),
            ],
            options={
                "db_table": "points_keys",
                "constraints": [models.UniqueConstraint(fields=("run", "key"), name="points_keys_once")],
            },
        ),
    ]
