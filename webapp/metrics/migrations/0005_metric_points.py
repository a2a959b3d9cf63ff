"""The view `metric_points`: one row a point, for people who ask in SQL. It reads the packed arrays, and is never written.

PostgreSQL reads bytes most significant first, so an array is reversed once a chunk, and read from its end. Of steps that are
equally far apart a chunk holds the first and the distance.
"""

from django.db import migrations

NUMBER = """
CREATE FUNCTION metric_float(bits bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
  CASE WHEN bits < 0 THEN -1 ELSE 1 END::float8 *
  CASE (bits >> 52) & 2047
    WHEN 2047 THEN CASE WHEN bits & 4503599627370495 = 0 THEN 'Infinity' ELSE 'NaN' END::float8
    WHEN 0 THEN (bits & 4503599627370495)::float8 * power(2::float8, -1074)
    ELSE ((bits & 4503599627370495) | 4503599627370496)::float8 * power(2::float8, ((bits >> 52) & 2047) - 1075)
  END
"""
VIEW = """
CREATE VIEW metric_points AS
SELECT series.run_id, series.name,
       CASE WHEN chunk.count > 2 AND length(chunk.steps) = 16
         THEN chunk.first_step + (chunk.count - 1 - place) * substr(packed.steps, 1, 8)::bigint
         ELSE substr(packed.steps, 8 * place + 1, 8)::bigint END AS step,
       metric_float(substr(packed."values", 8 * place + 1, 8)::bigint) AS value,
       to_timestamp(metric_float(substr(packed.times, 8 * place + 1, 8)::bigint)) AS "time"
FROM series
JOIN metric_chunks AS chunk ON chunk.series_id = series.id
CROSS JOIN LATERAL (
  SELECT reverse(chunk.steps) AS steps, reverse(chunk."values") AS "values", reverse(chunk.times) AS times OFFSET 0
) AS packed
CROSS JOIN LATERAL generate_series(chunk.count::int - 1, 0, -1) AS place
"""


class Migration(migrations.Migration):
    dependencies = [("metrics", "0004_points_keys")]

    operations = [
        migrations.RunSQL(NUMBER, "DROP FUNCTION metric_float(bigint)"),
        migrations.RunSQL(VIEW, "DROP VIEW metric_points"),
    ]
