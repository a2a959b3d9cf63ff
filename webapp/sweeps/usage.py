"""What the runs of sweeps have taken, added up in Postgres: time on devices, FLOPs, energy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.db import connection

NEWEST_RUNS = 200


class Usage(NamedTuple):
    """`joules` is None where no device told its power; where only some did, it is theirs alone."""

    runs: int = 0
    gpu_seconds: float = 0.0
    flops: float = 0.0
    joules: float | None = None


class Typical(NamedTuple):
    """One finished run: the median of its seconds, the means of the rest. All None when none has finished."""

    measured_runs: int
    seconds: float | None
    gpus: float | None
    flops: float | None
    joules: float | None


def usage_of(sweep_ids: Iterable[int]) -> dict[int, Usage]:
    """Of each sweep, in one query. A lost attempt counts in, with the steps that were then done again."""
    asked = list(sweep_ids)
    found = dict.fromkeys(asked, Usage())
    with connection.cursor() as cursor:
        cursor.execute(_USAGE, {"sweeps": asked})
        return found | {sweep: Usage(*sums) for sweep, *sums in cursor.fetchall()}


def typical(sweep_id: int) -> Typical:
    """Of the newest 200 runs that went to their end; those stopped early say nothing of a whole one."""
    with connection.cursor() as cursor:
        cursor.execute(_TYPICAL, {"sweeps": [sweep_id], "newest": NEWEST_RUNS})
        return Typical(*cursor.fetchone())


def seconds_of(run_ids: Iterable[int]) -> dict[int, float]:
    """How long each run has been on its devices by now, over all its attempts. Those never begun are left out."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT run_id, sum({_SECONDS}) FROM attempts a WHERE run_id = ANY(%s) GROUP BY run_id",  # noqa: S608
                       [list(run_ids)])  # fmt: skip
        return dict(cursor.fetchall())


_SECONDS = "extract(epoch FROM coalesce(a.ended_at, statement_timestamp()) - a.started_at)::float8"
_RUNS = """SELECT trials.sweep_id, runs.id, runs.status, runs.gpus, runs.steps,
                  CASE jsonb_typeof(facts #> '{flops,total}') WHEN 'number' THEN (facts #>> '{flops,total}')::float8 END
                  AS planned_flops
           FROM trials JOIN replicates ON trial_id = trials.id JOIN runs ON runs.id = run_id
           WHERE sweep_id = ANY(%(sweeps)s)"""
# A forked run begins at its source's step, so steps are counted by attempt, from where each began.
_EACH = f"""
    tries AS (SELECT a.run_id, sum({_SECONDS}) AS seconds,
                     sum(greatest(CASE a.status WHEN 'succeeded' THEN r.steps ELSE a.last_step END
                                  - coalesce(a.resumed_from_step, 0), 0)) AS steps
              FROM chosen r JOIN attempts a ON a.run_id = r.id GROUP BY a.run_id),
    power AS (SELECT s.run_id, sum(s.total / s.finite_count) AS watts FROM chosen r JOIN series s ON s.run_id = r.id
              WHERE s.name LIKE 'system/gpu%%power_watts' AND s.finite_count > 0 GROUP BY s.run_id),
    each_run AS (SELECT r.*, t.seconds, r.planned_flops * t.steps / nullif(r.steps, 0) AS flops,
                        p.watts * t.seconds AS joules
                 FROM chosen r LEFT JOIN tries t ON t.run_id = r.id LEFT JOIN power p ON p.run_id = r.id)"""  # noqa: S608
_USAGE = f"""
    WITH chosen AS ({_RUNS}), {_EACH}
    SELECT sweep_id, count(*), coalesce(sum(seconds * gpus), 0), coalesce(sum(flops), 0), sum(joules)
    FROM each_run GROUP BY sweep_id"""  # noqa: S608
_TYPICAL = f"""
    WITH chosen AS ({_RUNS} AND runs.status = 'succeeded' ORDER BY runs.id DESC LIMIT %(newest)s), {_EACH}
    SELECT count(seconds), percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds), avg(gpus)::float8, avg(flops),
           avg(joules)
    FROM each_run WHERE seconds > 0"""  # noqa: S608
