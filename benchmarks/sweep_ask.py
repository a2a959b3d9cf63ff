"""How long a sampler takes to say which point is next.

`python benchmarks/sweep_ask.py` needs no server. For each sampler and number of finished trials it prints the first
question of a process that has only imported it (cold), median and 90th percentile of later ones (warm), and the median
processor time of those, which a busy machine changes less. Target: at most 50 ms for TPE at 5,000 trials. The space
has 5 knobs, 2 of them conditional; every seventh trial has failed, 4 are running.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
SAMPLERS = ["random", "grid", "qmc", "tpe", "gp", "nsga2", "cmaes"]
SPEC = {
    "kind": "finetune",
    "model": {"source": "builtin", "name": "nano"},
    "data": {"source": "builtin", "name": "language-reference"},
}
SPACE = {
    "method.name": {"choices": ["lora", "full"]},
    "method.rank": {"low": 2, "high": 32, "log": True, "when": {"method.name": ["lora"]}},
    "method.dropout": {"low": 0, "high": 1, "when": {"method.name": ["lora"]}},
    "optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True},
    "batch_size": {"low": 8, "high": 64, "step": 8},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samplers", nargs="+", default=SAMPLERS)
    parser.add_argument("--trials", nargs="+", type=int, default=[10, 100, 1000, 5000])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # sampler and trials: what a process of its own does
    options = parser.parse_args()
    if options.one:
        print(*measured(options.one[0], int(options.one[1]), options.repeats))
        return
    print(f"{'sampler':<8} {'trials':>7} {'cold ms':>9} {'median ms':>10} {'p90 ms':>8} {'cpu ms':>8}")
    for sampler in options.samplers:
        for trials in options.trials:
            print(row(sampler, trials, options.repeats), flush=True)


def row(sampler: str, trials: int, repeats: int) -> str:
    """Measured in a process of its own, so that the first question is a first one."""
    command = [sys.executable, __file__, "--one", sampler, str(trials), "--repeats", str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return f"{sampler:<8} {trials:>7}  {done.stderr.strip().splitlines()[-1]}"
    cold, median, p90, cpu = map(float, done.stdout.split())
    return f"{sampler:<8} {trials:>7,} {cold:>9.1f} {median:>10.1f} {p90:>8.1f} {cpu:>8.1f}"


def measured(sampler: str, trials: int, repeats: int) -> Iterator[str]:
    """cold, median, 90th percentile and median processor time, in milliseconds."""
    import django

    django.setup()
    from webapp.sweeps.definition import Objective, Search
    from webapp.sweeps.search.asking import ask

    knobs: dict[str, Any] = {"name": sampler, **({"points": 20} if sampler == "grid" else {})}
    search = Search.model_validate({"sampler": knobs, "space": SPACE})
    objectives, past = [Objective(metric="eval/loss")], history(search, trials)
    times, works = [], []
    for _ in range(repeats + 1):
        began, worked = time.perf_counter(), time.process_time()
        params = ask(search, objectives, past, spec=SPEC)[0].params
        times.append(1000 * (time.perf_counter() - began))
        works.append(1000 * (time.process_time() - worked))
        past = [*past[:-4], finished(len(past) - 3, params), *past[-4:]]
    cold, *warm = times
    yield from (
        f"{one:.3f}" for one in (cold, statistics.median(warm), np.quantile(warm, 0.9), statistics.median(works[1:]))
    )


def history(search: Any, trials: int) -> list[Any]:
    from webapp.sweeps.search.asking import Observation
    from webapp.sweeps.search.space import drawn
    from webapp.sweeps.states import TrialStatus

    draws = drawn(search.space, frozenset(["method.rank", "batch_size"]), 0)
    past = [finished(number, next(draws)) for number in range(1, trials + 1)]
    past = [one._replace(status=TrialStatus.FAILED, values=None) if one.number % 7 == 0 else one for one in past]
    return [*past, *(Observation(trials + place, next(draws), TrialStatus.RUNNING) for place in range(1, 5))]


def finished(number: int, params: dict[str, Any]) -> Any:
    from webapp.sweeps.search.asking import Observation
    from webapp.sweeps.states import TrialStatus

    noise = math.sin(number * 12.9898) * 0.1
    loss = abs(math.log(params["optimizer.lr"] / 1e-3)) + 0.1 * params.get("method.dropout", 0.5) + noise
    return Observation(number, params, TrialStatus.SUCCEEDED, [loss])


if __name__ == "__main__":
    main()
