"""How long the server takes for the pages of a large sweep: 5,000 trials of two seeds (target: <= 300 ms).

`python benchmarks/sweep_page.py` starts its own PostgreSQL and Redis in a temporary home, makes the rows, and prints
the median and the slowest of some requests, after one that is not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

SPEC = {
    "kind": "pretrain",
    "model": {"source": "builtin", "name": "nano"},
    "data": {"source": "builtin", "name": "language-reference"},
}
SPACE = {
    "optimizer.lr": {"low": 1e-5, "high": 1e-1, "log": True},
    "batch_size": {"low": 4, "high": 64},
    "clip_norm": {"low": 0.1, "high": 2.0},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--requests", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hone-bench-") as home:
        for name in ("DATABASE_URL", "REDIS_URL"):
            os.environ.pop(name, None)
        os.environ |= {"HONE_HOME": home, "DJANGO_SETTINGS_MODULE": "webapp.settings"}
        from webapp.system.embedded import Servers

        with Servers(Path(home)).running():
            measure(options)


def measure(options: argparse.Namespace) -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    from django.test import Client

    from webapp.accounts.actions import create_user

    user = create_user("bench")
    sweep = make_sweep(user, options.trials)
    client = Client(HTTP_HOST="localhost")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    page = f"/p/{sweep.project.slug}/sweeps/"
    title = f"{options.trials:,} trials, {2 * options.trials:,} runs"
    print(f"| {title} | median | slowest of {options.requests} |\n|---|---|---|")
    for title, path in {
        "sweep page": f"{page}{sweep.pk}/",
        "its trials": f"{page}{sweep.pk}/trials/",
        "its trials by learning rate": f"{page}{sweep.pk}/trials/?sort=param.optimizer.lr",
        "its head, asked for while it is live": f"{page}{sweep.pk}/head/",
        "list of sweeps": page,
    }.items():
        times = [answered(client, path) for _ in range(options.requests + 1)][1:]
        print(f"| {title} | {1e3 * statistics.median(times):.0f} ms | {1e3 * max(times):.0f} ms |")


def answered(client: Any, path: str) -> float:
    begun = time.perf_counter()
    assert client.get(path).status_code == 200, path
    return time.perf_counter() - begun


def make_sweep(user: Any, count: int) -> Any:
    """A live sweep whose trials have all succeeded, with every row that pages read."""
    import numpy as np
    from django.db import connection
    from django.db.models import F

    from webapp.accounts.actions import create_project
    from webapp.metrics.models import Series
    from webapp.runs.models import Attempt, Run
    from webapp.sweeps import actions
    from webapp.sweeps.models import Replicate, Trial

    project = create_project(user, "Bench")
    definition = {
        "spec": SPEC,
        "search": {"sampler": "tpe", "space": SPACE},
        "objective": {"metric": "eval/loss"},
        "trials": count + 1000,
        "seeds": 2,
    }
    sweep = actions.create(project=project, user=user, definition=definition)
    random = np.random.default_rng(0)
    trials = Trial.objects.bulk_create(
        Trial(sweep=sweep, number=number + 1, params=point(random), status="succeeded", values=[float(random.random())])
        for number in range(count)
    )
    common = {"project": project, "kind": "pretrain", "queue_id": "default", "status": "succeeded", "steps": 100}
    common["spec"] = sweep.definition["spec"]
    runs = Run.objects.bulk_create(Run(name=f"run {number}", **common) for number in range(2 * count))
    seeds = [(trial, seed) for trial in trials for seed in (0, 1)]
    Replicate.objects.bulk_create(
        Replicate(trial=trial, run=run, seed=seed, values=trial.values)
        for (trial, seed), run in zip(seeds, runs, strict=True)
    )
    Attempt.objects.bulk_create(Attempt(run=run, number=1, worker_name="w", status="succeeded") for run in runs)
    Attempt.objects.update(ended_at=F("started_at") + timedelta(seconds=10))
    ones = dict.fromkeys(("count", "finite_count", "total", "minimum", "maximum", "first", "last", "last_time"), 1)
    Series.objects.bulk_create(Series(run=run, name="eval/loss", last_step=100, first_time=0.0, **ones) for run in runs)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as autovacuum does within a minute
    return sweep


def point(random: Any) -> dict[str, float]:
    return {
        "optimizer.lr": float(10 ** random.uniform(-5, -1)),
        "batch_size": int(random.integers(4, 65)),
        "clip_norm": float(random.uniform(0.1, 2.0)),
    }


if __name__ == "__main__":
    main()
