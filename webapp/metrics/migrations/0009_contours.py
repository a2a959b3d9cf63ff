"""A chunk in about twenty points, so that no zoom between envelopes and outlines reads more than it shows."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metrics", "0008_outlines")]

    operations = [migrations.AddField("chunk", "contour", models.BinaryField(null=True))]
