"""Which peak learning rate suits models far below those that the Step Law was fitted on: real runs, one table.

    python -m benchmarks.tiny_rates [--out rates.json]

Each size of `gpu_jobs.ladder.shape` is trained on the built-in data for its tokens and batch at every rate; the table
shows the loss on the evaluation split, the best rate, and what the Step Law says. A cap is sane where no size loses
much by it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from gpu_jobs import ladder
from gpu_jobs.context import Context
from gpu_jobs.events import Failed, Result
from gpu_jobs.outcomes import run
from gpu_jobs.spec import parse

RUNGS = ((3_000, 60_000), (30_000, 150_000), (30_000, 600_000), (200_000, 600_000))  # N, D
RATES = (1e-3, 3e-3, 6e-3, 1e-2, 2e-2, 4e-2, 8e-2)
SEQUENCE = 64


def spec(rung: ladder.Rung, lr: float) -> dict[str, Any]:
    shape = rung.shape
    sizes = {"layers": shape.layers, "width": shape.width, "heads": shape.heads, "ffn": shape.ffn}
    return {
        "kind": "pretrain",
        "model": {"source": "config", "context": SEQUENCE, **sizes},
        "data": {"source": "builtin", "name": "language-reference"},
        "sequence_length": SEQUENCE,
        "batch_size": rung.batch_size,
        "steps": rung.steps,
        "optimizer": {"name": "adamw", "lr": lr, "weight_decay": 0.1, "beta2": 0.95},
        "schedule": {"name": "cosine", "warmup_steps": max(1, rung.steps // 20), "final": 0.1},
        "eval_every": 0,
        "eval_batches": 0,
        "checkpoint_every": 0,
        "precision": "fp32",
    }


def loss(rung: ladder.Rung, lr: float) -> float:
    """On the evaluation split at the end; infinite where the run failed."""
    with tempfile.TemporaryDirectory() as work:
        context = Context(work_dir=Path(work), cache_dir=Path(tempfile.gettempdir()) / "hone-tiny-rates")
        for event in run(parse(spec(rung, lr)), context):
            if isinstance(event, Result):
                return float(event.values["quality"]["eval/loss"])
            if isinstance(event, Failed):
                break
    return float("inf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = []
    sys.stdout.write("       N        D  batch steps  step law " + "".join(f"{rate:>9g}" for rate in RATES) + "\n")
    for size, tokens in RUNGS:
        rung = ladder.rung(size, tokens, SEQUENCE)
        told = [loss(rung, rate) for rate in RATES]
        row = f"{rung.parameters:>8,} {rung.tokens:>8,} {rung.batch_size:>6} {rung.steps:>5} {rung.lr:>9.4f} "
        sys.stdout.write(row + "".join(f"{value:>9.4f}" for value in told) + "\n")
        sys.stdout.flush()
        found.append({**rung.facts(), "losses": dict(zip(map(str, RATES), told, strict=True))})
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
