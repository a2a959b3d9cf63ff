"""How fast is the training loop? Against a bare loop of torch (what the events cost) and Hugging Face's Trainer.

    python benchmarks/training_loop.py [--model micro] [--steps 40] [--repeats 5] [--threads 1] [--precision fp32]

All three train the same llama on the same batches with fused AdamW, clipping at 1 and a linear schedule. `job` is the
loop as a run uses it: metrics of every step encoded as events, and the monitor on; `histograms` the same with one of
every weight and gradient each `--histograms-every` steps. Each repeat does the arms one
after the other; the table shows medians after one warm-up. Processor time is shown beside the clock: on a busy machine
it is the one to compare, and on a GPU the clock is.
"""

from __future__ import annotations

import argparse
import logging
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gpu_jobs.context import Context
from gpu_jobs.engine import loop, optim
from gpu_jobs.engine.job import Job, prepare
from gpu_jobs.engine.monitor import Monitor
from gpu_jobs.engine.ranks import ALONE
from gpu_jobs.engine.telemetry import Telemetry
from gpu_jobs.events import Metrics, encode
from gpu_jobs.spec import Training, parse


def spec_of(options: argparse.Namespace) -> Training:
    parsed = parse(
        {
            "kind": "pretrain",
            "model": {"source": "builtin", "name": options.model},
            "data": {"source": "builtin", "name": "stdlib-source"},
            "schedule": {"name": "linear"},
            "steps": options.steps,
            "batch_size": options.batch_size,
            "sequence_length": options.sequence_length,
            "eval_every": 0,
            "checkpoint_every": 0,
            "precision": options.precision,
        }
    )
    assert isinstance(parsed, Training)
    return parsed


def synchronise(job: Job) -> None:
    if job.device.type == "cuda":
        torch.cuda.synchronize()


def run_job(job: Job) -> None:
    """The loop as a run uses it."""
    with Monitor(loop.MONITOR_INTERVAL_S) as monitor:
        events = loop.steps(job, Telemetry(job.device), monitor)
        said = [(isinstance(event, Metrics), encode(event)) for event in events]
    assert sum(is_metrics for is_metrics, _ in said) == job.spec.steps


def run_bare(job: Job) -> None:
    """The fewest lines that do the same updates, and say nothing."""
    for step in range(job.spec.steps):
        optim.set_rate(job.spec, job.optimizer, step)
        batch = job.to_device(job.data.train.batch(job.sampler.indices(step)))
        with job.autocast():
            loss = job.loss_sum(job.model, batch) / (batch["labels"][:, 1:].numel())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(job.bare.parameters(), 1.0)
        job.optimizer.step()
        job.optimizer.zero_grad(set_to_none=True)


def run_trainer(job: Job) -> None:
    """transformers.Trainer, with its reports turned off."""
    from transformers import Trainer, TrainingArguments

    data = job.data.train

    class Samples(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return len(data)

        def __getitem__(self, index: int) -> Any:
            return {name: value[0] for name, value in data.batch(torch.tensor([index]).numpy()).items()}

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=job.spec.steps,
            per_device_train_batch_size=job.spec.batch_size,
            optim="adamw_torch_fused",
            learning_rate=1e-3,
            max_grad_norm=1.0,
            lr_scheduler_type="linear",
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            bf16=job.bf16,
            use_cpu=job.device.type == "cpu",
        )
        Trainer(model=job.bare, args=arguments, train_dataset=Samples()).train()


ARMS: dict[str, Callable[[Job], None]] = {
    "bare loop": run_bare, "job": run_job, "histograms": run_job, "HF Trainer": run_trainer,
}  # fmt: skip


def measure(arm: Callable[[Job], None], spec: Training, context: Context) -> tuple[float, float]:
    """(clock, processor) seconds of the training alone."""
    job = prepare(spec, context, ALONE)
    synchronise(job)
    clock, processor = time.perf_counter(), time.process_time()
    arm(job)
    synchronise(job)
    return time.perf_counter() - clock, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = {"steps": 40, "repeats": 5, "threads": 1, "batch-size": 8, "sequence-length": 128, "histograms-every": 10}
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--model", default="micro")
    parser.add_argument("--precision", default="fp32")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(options.threads)
    spec = spec_of(options)
    drawn = spec.model_copy(update={"histograms_every": options.histograms_every})
    tokens = spec.steps * spec.batch_size * spec.sequence_length
    with tempfile.TemporaryDirectory() as folder:
        context = Context(work_dir=Path(folder), cache_dir=Path(folder) / "cache")
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ARMS}
        for repeat in range(options.repeats + 1):
            for name, arm in ARMS.items():
                found = measure(arm, drawn if name == "histograms" else spec, context)
                if repeat:
                    times[name].append(found)
    report(times, tokens)


def report(times: dict[str, list[tuple[float, float]]], tokens: int) -> None:
    """One row an arm; the last columns compare with the bare loop, repeat by repeat."""
    print(f"{'arm':<12}{'tokens/s':>10}{'tokens/cpu-s':>14}{'clock vs bare':>15}{'cpu vs bare':>13}")
    for name, pairs in times.items():
        clock, processor = (statistics.median(values) for values in zip(*pairs, strict=True))
        against = [
            statistics.median(mine[part] / bare[part] for mine, bare in zip(pairs, times["bare loop"], strict=True))
            for part in (0, 1)
        ]
        speed = tokens / processor if processor else math.inf
        print(f"{name:<12}{tokens / clock:>10.0f}{speed:>14.0f}{against[0]:>14.3f}x{against[1]:>12.3f}x")


if __name__ == "__main__":
    main()
