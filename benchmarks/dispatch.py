"""How quickly a submitted run trains, and how many short runs one slot gets through.

`python benchmarks/dispatch.py` starts its own PostgreSQL, Redis and worker in a temporary home, and prints two tables:
submit -> first training event on an idle, warm worker (target: p50 <= 0.5 s), and one-step runs through one slot
(target: >= 5 runs/s).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
SPEC = {
    "kind": "pretrain",
    "model": {"source": "builtin", "name": "nano"},
    "data": {"source": "builtin", "name": "language-reference"},
    "steps": 1,
    "batch_size": 4,
    "sequence_length": 32,
    "eval_every": 0,
    "eval_batches": 1,
    "checkpoint_every": 0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latencies", type=int, default=20, help="runs submitted to an idle worker, one at a time")
    parser.add_argument("--runs", type=int, default=100, help="one-step runs in the queue at once")
    options = parser.parse_args()
    with installation() as log:
        try:
            print_latencies([latency() for _ in range(options.latencies)])
            print_throughput(options.runs, throughput(options.runs))
        except BaseException:
            print(log.read_text(), file=sys.stderr)
            raise


@contextmanager
def installation(slots: int = 1) -> Iterator[Path]:
    """Servers, tables and one warm worker. Yields the worker's log."""
    with tempfile.TemporaryDirectory(prefix="hone-bench-") as home:
        for name in ("DATABASE_URL", "REDIS_URL"):
            os.environ.pop(name, None)
        os.environ |= {"HONE_HOME": home, "HONE_SLOTS": str(slots), "DJANGO_SETTINGS_MODULE": "webapp.settings"}
        from webapp.system.embedded import Servers

        with Servers(Path(home)).running():
            log = Path(home) / "worker.log"
            prepare()
            worker = subprocess.Popen(
                [sys.executable, "-m", "workers"], cwd=ROOT, stdout=log.open("ab"), stderr=subprocess.STDOUT
            )
            try:
                latency()  # the first run waits for the imports
                latency()
                yield log
            finally:
                worker.terminate()
                worker.wait(60)


def prepare() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    from webapp.accounts.models import Project

    Project.objects.create(slug="bench", name="Bench")


def submit() -> object:
    from webapp.accounts.models import Project
    from webapp.runs import actions

    return actions.submit(project=Project.objects.get(), user=None, spec=SPEC)


def latency() -> tuple[float, float]:
    """Seconds from before `submit` to the job's first event (it enters a phase) and to its first point."""
    from webapp.metrics import queries
    from webapp.runs.models import PhaseMark

    before = time.time()
    run = submit()
    wait_until_ended([run.pk])
    phase = PhaseMark.objects.filter(attempt__run=run).earliest("id")
    point = queries.raw(run.pk, "train/loss")
    time.sleep(0.3)
    return phase.at.timestamp() - before, point.times[0] - before


def throughput(count: int) -> float:
    """Runs a second, from the first claim to the last end."""
    from django.db.models import Max, Min

    from webapp.runs import actions
    from webapp.runs.models import Run

    actions.pause_queue("default")
    runs = [submit().pk for _ in range(count)]
    actions.resume_queue("default")
    wait_until_ended(runs)
    times = Run.objects.filter(pk__in=runs).aggregate(first=Min("started_at"), last=Max("ended_at"))
    return count / (times["last"] - times["first"]).total_seconds()


def wait_until_ended(run_ids: list[int], timeout_s: float = 120.0) -> None:
    from webapp.runs.models import Run
    from webapp.runs.states import FINAL

    deadline = time.monotonic() + timeout_s
    while Run.objects.filter(pk__in=run_ids).exclude(status__in=FINAL).exists():
        assert time.monotonic() < deadline, "the runs did not end"
        time.sleep(0.05)
    bad = Run.objects.filter(pk__in=run_ids).exclude(status="succeeded").first()
    assert bad is None, f"run {bad.pk}: {bad.error_type}: {bad.error_message}"


def print_latencies(found: list[tuple[float, float]]) -> None:
    print(f"| submit to, of {len(found)} runs | p50 | p90 | max |\n|---|---|---|---|")
    for name, seconds in zip(("first training event", "first point"), zip(*found, strict=True), strict=True):
        p90 = statistics.quantiles(seconds, n=10)[-1]
        print(f"| {name} | {statistics.median(seconds):.3f} s | {p90:.3f} s | {max(seconds):.3f} s |")


def print_throughput(count: int, rate: float) -> None:
    print(f"\n| {count} one-step runs, one slot | {rate:.1f} runs/s |\n|---|---|")


if __name__ == "__main__":
    main()
