"""Pictures and histograms that runs log at steps."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metrics", "0006_chart_layouts"), ("runs", "0004_outside")]

    operations = [
        migrations.CreateModel(
            name="MediaItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=250)),
                ("kind", models.CharField(choices=[("image", "Image"), ("histogram", "Histogram")], max_length=10)),
                ("step", models.BigIntegerField()),
                ("time", models.FloatField()),
                ("caption", models.TextField(blank=True, default="")),
                ("format", models.CharField(blank=True, default="", max_length=4)),
                ("width", models.IntegerField(null=True)),
                ("height", models.IntegerField(null=True)),
                ("edges", models.BinaryField(null=True)),
                ("counts", models.BinaryField(null=True)),
                (
                    "blob",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="media", to="runs.blob"
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="media", to="runs.run"
                    ),
                ),
            ],
            options={"db_table": "media_items", "ordering": ["step"]},
        ),
        migrations.AddConstraint(
            model_name="mediaitem",
            constraint=models.UniqueConstraint(fields=("run", "name", "step"), name="media_steps"),
        ),
    ]
