"""How long the fit of a scaling law takes, beside a loop of scipy fits and the package `chinchilla`.

`python benchmarks/scaling_fit.py [--points CSV] [--chinchilla PYTHON]` needs no server. Chinchilla's law, the sum of
the Huber loss (delta 1e-3) of ln L, the 4,500 starts of Hoffmann et al. 2022. The points are Epoch's 240 where their
table (svg_extracted_data.csv) is given or lies beside the repository, else made from the law. The loops are timed on
every 100th start and multiplied by 100. `chinchilla` is no dependency: give the Python of an environment that has it;
it runs 32 starts of its own grid on all cores, is multiplied to 4,500, and minimises the mean. A busy machine changes
the processor time less than the wall time; ratios are of processor time, that of `chinchilla` of wall time.

Targets: the full fit <= 1 s and >= 50 times as fast as the loop at the same objective; 4,000 bootstrap refits <= 6 s;
10,000 points x 4,500 starts within 2 GiB (peak of a process of its own).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from scipy import optimize  # noqa: E402

from gpu_jobs import registry  # noqa: E402
from gpu_jobs.engine.laws import bootstrap  # noqa: E402
from gpu_jobs.engine.laws.minima import grid, minima  # noqa: E402
from gpu_jobs.engine.laws.objectives import loss_of  # noqa: E402
from gpu_jobs.engine.laws.problem import Problem  # noqa: E402
from gpu_jobs.points import HuberLog  # noqa: E402

EPOCH = ROOT.parent / "shared/data/scaling/epoch-research_analyzing-chinchilla/svg_extracted_data.csv"
EVERY, RESAMPLES, MANY = 100, 4000, 10_000
PEER = """
import json, sys, time, functools, os
import matplotlib; matplotlib.use("Agg")
from chinchilla import Chinchilla
from chinchilla._metrics import log_huber
grid = {"e": [0, 0.5], "a": [5, 10], "b": [5, 10], "alpha": [0.5, 1], "beta": [0.5, 1]}
cc = Chinchilla(sys.argv[1], param_grid=grid, loss_fn=functools.partial(log_huber, delta=1e-3), log_level=40)
began = time.perf_counter()
cc.fit(parallel=True)
print(json.dumps({"seconds": time.perf_counter() - began, "starts": 32, "cores": os.cpu_count(),
                  "params": {k: float(getattr(cc, k)) for k in ("E", "A", "B", "alpha", "beta")}}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=Path, default=EPOCH)
    parser.add_argument("--chinchilla", metavar="PYTHON", help="the Python of an environment that has chinchilla")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--many", action="store_true", help=argparse.SUPPRESS)  # what the process of its own does
    options = parser.parse_args()
    if options.many:
        print(many())
        return
    problem = epoch(options.points) if options.points.exists() else made(240)
    print(f"load average {os.getloadavg()[0]:.1f}; {os.cpu_count()} cores; seconds, best of {options.repeats}\n")
    ours, known = best(lambda: minima(problem), options.repeats)
    row("4,500 starts, here", ours, stated(problem, known.best))
    for name, exact in (("a loop, scipy L-BFGS-B, numerical gradients", False), ("the same, exact gradients", True)):
        seconds, vector = loop(problem, exact=exact)
        row(f"{name} (x {EVERY})", seconds, stated(problem, vector), f"{seconds.cpu / ours.cpu:,.0f}x")
    if options.chinchilla:
        peer(problem, options.chinchilla, ours)
    members = bootstrap.units(None, problem.points)
    drawn = bootstrap.draws(members, RESAMPLES, 42)
    seconds, found = best(lambda: bootstrap.refit(problem, known, drawn, members), options.repeats)
    errors = problem.natural(found).std(0, ddof=1)
    row(f"{RESAMPLES:,} bootstrap refits", seconds)
    print("  standard errors: " + ", ".join(f"{n} {e:.5g}" for n, e in zip(problem.names, errors, strict=True)))
    done = subprocess.run([sys.executable, __file__, "--many"], capture_output=True, text=True, check=True)
    print(done.stdout.strip())


class Time(NamedTuple):
    """Seconds; of the processor None where another process took them."""

    wall: float
    cpu: float | None


def row(name: str, took: Time, objective: float | None = None, ratio: str = "") -> None:
    cpu = "" if took.cpu is None else f"{took.cpu:.3f}"
    value = "" if objective is None else f"{objective:.13f}"
    print(f"{name:<58} wall {took.wall:>9.3f}  cpu {cpu:>9}  {value} {ratio}", flush=True)


def best(call: Callable[[], Any], repeats: int) -> tuple[Time, Any]:
    """(the shortest times, the last answer)"""
    walls, works = [], []
    for _ in range(repeats):
        began, worked = time.perf_counter(), time.process_time()
        found = call()
        walls.append(time.perf_counter() - began)
        works.append(time.process_time() - worked)
    return Time(min(walls), min(works)), found


def epoch(path: Path) -> Problem:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    size, flops, loss = (
        np.array([float(each[name]) for each in rows]) for name in ("Model Size", "Training FLOP", "loss")
    )
    kept = loss < np.sort(loss)[-5]
    return chinchilla(size[kept], (flops / (6 * size))[kept], loss[kept])


def made(points: int) -> Problem:
    random = np.random.RandomState(0)
    size, tokens = np.exp(random.uniform(17, 23, points)), np.exp(random.uniform(20, 26, points))
    loss = 1.8 + 480 / size**0.35 + 2100 / tokens**0.37
    return chinchilla(size, tokens, loss * np.exp(0.005 * random.standard_normal(points)))


def chinchilla(size: Any, tokens: Any, loss: Any) -> Problem:
    knobs = registry.methods("laws")["chinchilla"].knobs(name="chinchilla")
    return Problem(knobs, {"N": size, "D": tokens}, loss, loss_of(HuberLog()))


def stated(problem: Problem, vector: Any) -> float:
    return float(problem.loss.stated(problem.residuals(np.asarray(vector)[None]))[0])


def loop(problem: Problem, *, exact: bool) -> tuple[Time, Any]:
    """One scipy fit a start, the sum scaled by 1 / delta and tight tolerances: (seconds for all starts, the best)"""
    n, d, target = np.log(problem.variables["N"]), np.log(problem.variables["D"]), np.log(problem.target)

    def value(x: Any) -> Any:
        e, a, b, alpha, beta = x
        terms = np.stack([np.full_like(n, e), a - alpha * n, b - beta * d])
        top = terms.max(0)
        parts = np.exp(terms - top)
        total = parts.sum(0)
        residual = target - top - np.log(total)
        size = np.abs(residual)
        huber = np.where(size <= 1e-3, size**2 / 2, 1e-3 * (size - 5e-4)).sum() / 1e-3
        if not exact:
            return huber
        pull = -np.clip(residual, -1e-3, 1e-3) / 1e-3 * parts / total
        gradient = [pull[0].sum(), pull[1].sum(), pull[2].sum(), -(pull[1] * n).sum(), -(pull[2] * d).sum()]
        return huber, np.array(gradient)

    starts = grid(problem)[EVERY // 2 :: EVERY]
    options = {"maxiter": 10_000, "maxfun": 100_000, "ftol": 1e-14, "gtol": 1e-9}
    seconds, found = best(
        lambda: [optimize.minimize(value, start, jac=exact, method="L-BFGS-B", options=options) for start in starts], 1
    )
    return Time(seconds.wall * EVERY, seconds.cpu * EVERY), min(found, key=lambda each: float(each.fun)).x


def peer(problem: Problem, python: str, ours: Time) -> None:
    """The package `chinchilla` in an environment of its own."""
    with tempfile.TemporaryDirectory() as folder:
        size, tokens = problem.variables["N"], problem.variables["D"]
        lines = [
            f"{6 * n * d!r},{n!r},{d!r},{y!r}"
            for n, d, y in zip(size.tolist(), tokens.tolist(), problem.target.tolist(), strict=True)
        ]
        Path(folder, "df.csv").write_text("C,N,D,loss\n" + "\n".join(lines) + "\n")
        done = subprocess.run([python, "-c", PEER, folder], capture_output=True, text=True)
    if done.returncode:
        print(f"chinchilla failed: {done.stderr.strip().splitlines()[-1]}")
        return
    told = json.loads(done.stdout.strip().splitlines()[-1])
    took = Time(told["seconds"] * 4500 / told["starts"], None)
    name = f"chinchilla, {told['cores']} cores (x {4500 / told['starts']:.1f})"
    row(name, took, stated(problem, problem.fitted(told["params"])), f"{took.wall / ours.wall:,.0f}x")


def many() -> str:
    """10,000 points x 4,500 starts: the time of the whole fit and this process's peak memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took, found = best(lambda: minima(made(MANY)), 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = f"peak {peak / 2**20:.2f} GiB, {before / 2**20:.2f} of it before the fit"
    name = f"{MANY:,} points x {found.starts:,} starts"
    return f"{name:<58} wall {took.wall:>9.3f}  cpu {took.cpu:>9.3f}  {told}"


if __name__ == "__main__":
    main()
