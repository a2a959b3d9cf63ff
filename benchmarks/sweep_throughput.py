"""How busy a sweep keeps its slots: 500 trials of about one second on two slots (target: >= 90 % busy).

`python benchmarks/sweep_throughput.py` starts its own PostgreSQL, Redis and worker in a temporary home. A slot is busy
from the claim of an attempt to its end, and training from its first phase on; what overlaps (the last points of one
attempt are written while the next begins) counts once.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.dispatch import SPEC, installation

SLOTS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--steps", type=int, default=25, help="of each trial; chosen so that one takes about a second")
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--concurrency", type=int, default=4, help="runs queued or training at once")
    options = parser.parse_args()
    with installation(SLOTS) as log:
        try:
            print_table(options, measure(options))
        except BaseException:
            print(log.read_text()[-5000:], file=sys.stderr)
            raise


class Held(NamedTuple):
    """An attempt on its slot."""

    slot: int
    claimed: datetime
    phase: datetime
    ended: datetime


def measure(options: argparse.Namespace) -> list[Held]:
    """Every attempt of a sweep that ran to its end."""
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
    return [
        Held(one.devices[0]["slot"], one.started_at, one.phases.all()[0].at, one.ended_at)  # type: ignore[arg-type]
        for one in attempts.order_by("started_at")
    ]


def print_table(options: argparse.Namespace, attempts: list[Held]) -> None:
    wall = (max(one.ended for one in attempts) - min(one.claimed for one in attempts)).total_seconds()
    busy = sum(covered([(one.claimed, one.ended) for one in attempts if one.slot == slot]) for slot in range(SLOTS))
    training = sum(covered([(one.phase, one.ended) for one in attempts if one.slot == slot]) for slot in range(SLOTS))
    each = statistics.median((one.ended - one.claimed).total_seconds() for one in attempts)
    title = f"{options.trials} trials, {options.sampler}, {SLOTS} slots, concurrency {options.concurrency}"
    print(f"| {title} | |\n|---|---|")
    print(f"| wall time | {wall:.0f} s |\n| one trial, median | {each:.2f} s |")
    print(f"| slots busy | {100 * busy / (SLOTS * wall):.1f} % |")
    print(f"| slots training | {100 * training / (SLOTS * wall):.1f} % |")
    print(f"| trials per second | {len(attempts) / wall:.2f} |")


def covered(spans: list[tuple[datetime, datetime]]) -> float:
    """Seconds in at least one of the spans, which are in order of their beginnings."""
    seconds, until = 0.0, None
    for begin, end in sorted(spans):
        begin = begin if until is None else max(begin, until)
        seconds += max((end - begin).total_seconds(), 0.0)
        until = end if until is None else max(until, end)
    return seconds


if __name__ == "__main__":
    main()
