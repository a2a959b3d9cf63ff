"""The words by which runs are looked for, in capitals and in a narrow table: a search reads no spec then.

A trigger writes them with the run: its name, its tags and the name of its method.
"""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

FUNCTIONS = """
CREATE FUNCTION words_of(name text, tags text[], spec jsonb) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT upper(concat_ws(' ', name, array_to_string(tags, ' '), spec #>> '{method,name}'))
$$;

CREATE FUNCTION write_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO run_words (run_id, kind, words) VALUES (NEW.id, upper(NEW.kind), words_of(NEW.name, NEW.tags, NEW.spec))
    ON CONFLICT (run_id) DO UPDATE SET kind = excluded.kind, words = excluded.words;
    RETURN NULL;
END
$$;

INSERT INTO run_words (run_id, kind, words)
SELECT runs.id, upper(runs.kind), words_of(runs.name, runs.tags, runs.spec) FROM runs ORDER BY runs.id;

CREATE TRIGGER words_inserted AFTER INSERT ON runs FOR EACH ROW EXECUTE FUNCTION write_words();
CREATE TRIGGER words_changed AFTER UPDATE OF name, tags, spec, kind ON runs FOR EACH ROW
    WHEN ((OLD.name, OLD.tags, OLD.spec, OLD.kind) IS DISTINCT FROM (NEW.name, NEW.tags, NEW.spec, NEW.kind))
    EXECUTE FUNCTION write_words();
"""
BACK = """
DROP TRIGGER words_changed ON runs;
DROP TRIGGER words_inserted ON runs;
DROP FUNCTION write_words;
DROP FUNCTION words_of;
"""


class Migration(migrations.Migration):
    dependencies = [("runs", "0007_params")]

    operations = [
        migrations.CreateModel(
            name="RunWords",
            fields=[
                (
                    "run",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="words",
                        serialize=False,
                        to="runs.run",
                    ),
                ),
                ("kind", models.TextField()),
                ("words", models.TextField()),
            ],
            options={"db_table": "run_words"},
        ),
        migrations.RunSQL(FUNCTIONS, BACK),
    ]
