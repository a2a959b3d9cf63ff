"""Points are nearly random bits: PostgreSQL is told not to spend time on compressing them, and to leave series rows room."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("metrics", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(
            """ALTER TABLE metric_chunks
                 ALTER steps SET STORAGE EXTERNAL, ALTER "values" SET STORAGE EXTERNAL,
                 ALTER times SET STORAGE EXTERNAL, ALTER envelope SET STORAGE EXTERNAL""",
            """ALTER TABLE metric_chunks
                 ALTER steps SET STORAGE EXTENDED, ALTER "values" SET STORAGE EXTENDED,
                 ALTER times SET STORAGE EXTENDED, ALTER envelope SET STORAGE EXTENDED""",
        ),
        migrations.RunSQL("ALTER TABLE series SET (fillfactor = 70)", "ALTER TABLE series RESET (fillfactor)"),
    ]
