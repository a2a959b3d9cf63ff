"""What stands in the specs as rows by path, for tables sorted by a parameter: a trigger writes them with the run.

To sort 100,000 runs by a key of their specs, each spec had to be read and taken apart. `params_of` says which rows a
spec has: one for each path of names, of up to 12 of them and 500 bytes, the first 1,000, of shallow ones first. Between
the names stands the character 31, so a name that has it is left out. The value is what stands there, of an object its
`name`; a text is cut after 200 characters, and a list or an object longer than that, or a number of more than some
1,000 digits, has none, since an index must hold it.
"""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

FUNCTIONS = """
CREATE FUNCTION params_of(spec jsonb) RETURNS TABLE (path text, value jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    WITH RECURSIVE walk (path, found) AS (
        SELECT ARRAY[each.key], each.value FROM jsonb_each(CASE jsonb_typeof(spec) WHEN 'object' THEN spec ELSE '{}' END) AS each
        UNION ALL
        SELECT walk.path || each.key, each.value FROM walk, jsonb_each(walk.found) AS each
        WHERE jsonb_typeof(walk.found) = 'object' AND cardinality(walk.path) < 12
    ),
    named AS (SELECT walk.path, coalesce(found -> 'name', found) AS found FROM walk),
    keyed AS (
        SELECT named.path, CASE jsonb_typeof(found)
            WHEN 'null' THEN NULL
            WHEN 'string' THEN to_jsonb(left(found #>> '{}', 200))
            WHEN 'number' THEN CASE WHEN pg_column_size(found) <= 500 THEN found END
            ELSE CASE WHEN length(found::text) <= 200 THEN found END END AS value
        FROM named
    )
    SELECT array_to_string(keyed.path, chr(31)), keyed.value FROM keyed
    WHERE keyed.value IS NOT NULL AND octet_length(array_to_string(keyed.path, ' ')) <= 500
        AND strpos(array_to_string(keyed.path, ' '), chr(31)) = 0
    LIMIT 1000
$$;

CREATE FUNCTION write_params() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM run_params WHERE run_id = NEW.id;
    END IF;
    INSERT INTO run_params (run_id, path, value) SELECT NEW.id, found.path, found.value FROM params_of(NEW.spec) AS found;
    RETURN NULL;
END
$$;

INSERT INTO run_params (run_id, path, value)
SELECT runs.id, found.path, found.value FROM runs, params_of(runs.spec) AS found;

CREATE TRIGGER params_inserted AFTER INSERT ON runs FOR EACH ROW EXECUTE FUNCTION write_params();
CREATE TRIGGER params_changed AFTER UPDATE OF spec ON runs FOR EACH ROW
    WHEN (OLD.spec IS DISTINCT FROM NEW.spec) EXECUTE FUNCTION write_params();
"""
BACK = """
DROP TRIGGER params_changed ON runs;
DROP TRIGGER params_inserted ON runs;
DROP FUNCTION write_params;
DROP FUNCTION params_of;
"""


class Migration(migrations.Migration):
    dependencies = [("runs", "0006_saved_views")]

    operations = [
        migrations.CreateModel(
            name="RunParam",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "run_id", "path", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("path", models.TextField()),
                ("value", models.JSONField()),
                (
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="params",
                        to="runs.run",
                    ),
                ),
            ],
            options={
                "db_table": "run_params",
                "indexes": [models.Index(fields=["path", "value", "run"], name="params_by_value")],
            },
        ),
        migrations.RunSQL(FUNCTIONS, BACK),
    ]
