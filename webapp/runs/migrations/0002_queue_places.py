"""THE order of a queue, in one place: the queue page shows it and claims follow it.

`priority DESC, rank ASC NULLS LAST, turn ASC, id ASC`, where `rank` is set by reordering by hand and `turn` makes projects
take turns: a run's turn is the number of active runs of its project plus its own place among the project's queued runs.
"""

from django.db import migrations

CREATE = """
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


class Migration(migrations.Migration):
    dependencies = [("runs", "0001_initial")]

    operations = [migrations.RunSQL(CREATE, "DROP VIEW queue_places")]
