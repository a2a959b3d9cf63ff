"""Within a project, runs of one share (a sweep's) take turns with the others, as projects do among themselves.

A run's place in its project goes by `priority DESC, rank ASC NULLS LAST, share turn, id`, where the share turn is the
number of active runs of its share plus its own place among the share's queued runs.
"""

from django.db import migrations, models

CREATE = """
CREATE VIEW queue_places AS
SELECT run_id, queue, turn,
       row_number() OVER (PARTITION BY queue ORDER BY priority DESC, rank ASC NULLS LAST, turn, run_id) AS position
FROM (
    SELECT run_id, queue, priority, rank,
           active + row_number() OVER (
               PARTITION BY queue, project_id ORDER BY priority DESC, rank ASC NULLS LAST, share_turn, run_id
           ) AS turn
    FROM (
        SELECT id AS run_id, queue, project_id, priority, rank, coalesce(busy.active, 0) AS active,
               coalesce(sharing.active, 0) + row_number() OVER (
                   PARTITION BY queue, project_id, share ORDER BY priority DESC, rank ASC NULLS LAST, id
               ) AS share_turn
        FROM runs
        LEFT JOIN (
            SELECT project_id, count(*) AS active FROM runs
            WHERE status IN ('cancelling', 'pausing', 'running', 'starting') AND kind <> 'external'
            GROUP BY project_id
        ) AS busy USING (project_id)
        LEFT JOIN (
            SELECT project_id, share, count(*) AS active FROM runs
            WHERE status IN ('cancelling', 'pausing', 'running', 'starting') AND kind <> 'external'
            GROUP BY project_id, share
        ) AS sharing USING (project_id, share)
        WHERE status = 'queued' AND deleted_at IS NULL
    ) AS shared
) AS queued
"""
BEFORE = """
CREATE VIEW queue_places AS
SELECT run_id, queue, turn,
       row_number() OVER (PARTITION BY queue ORDER BY priority DESC, rank ASC NULLS LAST, turn, run_id) AS position
FROM (
    SELECT id AS run_id, queue, priority, rank,
           coalesce(active, 0)
           + row_number() OVER (PARTITION BY queue, project_id ORDER BY priority DESC, rank ASC NULLS LAST, id) AS turn
    FROM runs
    LEFT JOIN (
        SELECT project_id, count(*) AS active FROM runs
        WHERE status IN ('cancelling', 'pausing', 'running', 'starting') AND kind <> 'external'
        GROUP BY project_id
    ) AS busy USING (project_id)
    WHERE status = 'queued' AND deleted_at IS NULL
) AS queued
"""
DROP = "DROP VIEW queue_places"


class Migration(migrations.Migration):
    dependencies = [("runs", "0002_queue_places")]

    operations = [
        migrations.AddField("run", "share", models.CharField(max_length=40, default="", db_default="", blank=True)),
        migrations.RunSQL(DROP, BEFORE),
        migrations.RunSQL(CREATE, DROP),
    ]
