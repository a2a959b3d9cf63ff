"""The programs behind external runs: the key that made the run, and when they were last heard."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("runs", "0003_shares")]

    operations = [
        migrations.CreateModel(
            name="Outside",
            fields=[
                (
                    "run",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="outside",
                        serialize=False,
                        to="runs.run",
                    ),
                ),
                ("key", models.CharField(max_length=200, null=True)),
                ("digest", models.BinaryField(null=True)),
                ("heard_at", models.DateTimeField(null=True)),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.project",
                    ),
                ),
            ],
            options={
                "db_table": "outside_programs",
                "constraints": [models.UniqueConstraint(fields=("project", "key"), name="outside_keys")],
            },
        ),
    ]
