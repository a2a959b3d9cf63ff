"""How busy a sweep keeps its slots: 500 trials of about one second on two slots (target: >= 90 % busy).

`python benchmarks/sweep_throughput.py` starts its own PostgreSQL, Redis and worker in a temporary home. A slot is busy
while an attempt holds it and its process works: from the claim to the end of the attempt. The trials' training alone,
from the first phase to the end, is told beside it.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.dispatch import SPEC, installation

SLOTS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--steps", type=int, default=60, help="of each trial; chosen so that one takes about a second")
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--concurrency", type=int, default=4, help="runs queued or training at once")
    options = parser.parse_args()
    with installation(SLOTS) as log:
        try:
            print_table(options, measure(options))
        except BaseException:
            print(log.read_text()[-5000:], file=sys.stderr)
            raise


def measure(options: argparse.Namespace) -> list[tuple[datetime, datetime, datetime]]:
    """(claimed, first phase, ended) of every attempt of a sweep that ran to its end."""
    from webapp.accounts.models import Project
    from webapp.runs.models import Attempt
    from webapp.sweeps import actions

    definition = {
        "spec": {**SPEC, "steps": options.steps},
        "search": {"sampler": options.sampler, "space": {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}},
        "objective": {"metric": "eval/loss"},
        "trials": options.trials,
        "concurrency": options.concurrency,
    }
    sweep = actions.create(project=Project.objects.get(), user=None, definition=definition)
    while sweep.ended_at is None:
        time.sleep(0.5)
        sweep.refresh_from_db()
    assert sweep.status == "succeeded", sweep.end_reason
    attempts = Attempt.objects.filter(run__replicate__trial__sweep=sweep).prefetch_related("phases")
    assert attempts.count() == options.trials
    return [(one.started_at, one.phases.all()[0].at, one.ended_at) for one in attempts]


def print_table(options: argparse.Namespace, attempts: list[tuple[datetime, datetime, datetime]]) -> None:
    wall = (max(end for _, _, end in attempts) - min(start for start, _, _ in attempts)).total_seconds()
    busy = sum(min((end - start).total_seconds(), wall) for start, _, end in attempts) / (SLOTS * wall)
    training = sum((end - phase).total_seconds() for _, phase, end in attempts) / (SLOTS * wall)
    each = sorted((end - start).total_seconds() for start, _, end in attempts)[len(attempts) // 2]
    title = f"{options.trials} trials, {options.sampler}, {SLOTS} slots, concurrency {options.concurrency}"
    print(f"| {title} | |\n|---|---|")
    print(f"| wall time | {wall:.0f} s |\n| one trial, median | {each:.2f} s |")
    print(f"| slots busy | {100 * busy:.1f} % |\n| slots training | {100 * training:.1f} % |")
    print(f"| trials per second | {len(attempts) / wall:.2f} |")


if __name__ == "__main__":
    main()
