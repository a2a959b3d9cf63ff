import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("runs", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Series",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("count", models.BigIntegerField(default=0)),
                ("finite_count", models.BigIntegerField(default=0)),
                ("total", models.FloatField(default=0.0)),
                ("minimum", models.FloatField(null=True)),
                ("maximum", models.FloatField(null=True)),
                ("first", models.FloatField(null=True)),
                ("last", models.FloatField(null=True)),
                ("last_step", models.BigIntegerField(null=True)),
                ("first_time", models.FloatField(null=True)),
                ("last_time", models.FloatField(null=True)),
                ("name", models.CharField(max_length=250)),
                (
                    "tail",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.IntegerField(), default=list, size=None
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="series",
                        to="runs.run",
                    ),
                ),
            ],
            options={
                "db_table": "series",
            },
        ),
        migrations.CreateModel(
            name="Chunk",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("count", models.BigIntegerField(default=0)),
                ("finite_count", models.BigIntegerField(default=0)),
                ("total", models.FloatField(default=0.0)),
                ("minimum", models.FloatField(null=True)),
                ("maximum", models.FloatField(null=True)),
                ("first", models.FloatField(null=True)),
                ("last", models.FloatField(null=True)),
                ("last_step", models.BigIntegerField(null=True)),
                ("first_time", models.FloatField(null=True)),
                ("last_time", models.FloatField(null=True)),
                ("first_step", models.BigIntegerField()),
                ("steps", models.BinaryField()),
                ("values", models.BinaryField()),
                ("times", models.BinaryField()),
                ("envelope", models.BinaryField(null=True)),
                (
                    "series",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chunks",
                        to="metrics.series",
                    ),
                ),
            ],
            options={
                "db_table": "metric_chunks",
            },
        ),
        migrations.AddIndex(
            model_name="series",
            index=models.Index(fields=["name"], name="series_by_name"),
        ),
        migrations.AddConstraint(
            model_name="series",
            constraint=models.UniqueConstraint(fields=("run", "name"), name="series_names"),
        ),
        migrations.AddConstraint(
            model_name="chunk",
            constraint=models.UniqueConstraint(fields=("series", "first_step"), name="chunks_of_series"),
        ),
    ]
