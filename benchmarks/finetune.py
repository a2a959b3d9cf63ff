"""What each fine-tuning method costs, against full fine-tuning, HF PEFT with its Trainer, and inference.

    python benchmarks/finetune.py methods [--methods lora dora ...] [--repeats 3] [--steps 12]
    python benchmarks/finetune.py trainer      LoRA here against HF PEFT + Trainer: tokens/s and memory
    python benchmarks/finetune.py forward      peak memory of forward-only methods against inference
    python benchmarks/finetune.py merged       a forward of the merged model against one of the base
    python benchmarks/finetune.py start        from a warm worker's fork to the end of the first step

Every arm runs in a process of its own, forked from one that has imported torch, as a worker's runs are. Time is the
median of the steps after the first two, memory the most that the process held above what it was forked with (on a GPU
what torch has allocated); arms take turns, and ratios are medians over the repeats of ratios within one repeat.
`planned` is the plan's memory over the measured one.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import logging
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpu_jobs import cost, registry
from gpu_jobs.context import Context
from gpu_jobs.errors import JobError
from gpu_jobs.spec import Training, parse

FORK = multiprocessing.get_context("forkserver")
Arm = Callable[[Any, Training, Context], dict[str, float]]


def spec_of(options: argparse.Namespace, base: Path, method: dict[str, Any]) -> Training:
    parsed = parse({
        "kind": "finetune", "model": {"source": "path", "path": str(base)},
        "data": {"source": "builtin", "name": "stdlib-source"}, "method": method, "steps": options.steps,
        "batch_size": options.batch_size, "sequence_length": options.sequence_length, "eval_every": 0,
        "eval_before": False, "checkpoint_every": 0, "precision": options.precision,
    })  # fmt: skip
    assert isinstance(parsed, Training)
    return parsed


def make_base(options: argparse.Namespace, folder: Path) -> Path:
    """A llama with random weights, saved with its tokenizer: speed and memory ask no more."""
    from gpu_jobs.engine import data, models
    from gpu_jobs.sources import BuiltinData, ConfigModel

    model = ConfigModel(layers=options.layers, width=options.width, heads=options.width // 64, context=1024)
    context = Context(work_dir=folder, cache_dir=folder / "cache")
    loaded = data.load(BuiltinData(name="stdlib-source"), task="causal_lm", tokenizer={"name": "byte"},
                       sequence_length=64, context=context, seed=0)  # fmt: skip
    built = models.build(model, context=context, seed=0, task="causal_lm", vocab_size=loaded.vocab_size, labels=None)
    built.save_pretrained(folder / "base")
    loaded.tokenizer.save_pretrained(folder / "base")
    return folder / "base"


def train(memory: Any, spec: Training, context: Context) -> dict[str, float]:
    """The loop's own updates."""
    from gpu_jobs.engine import loop, optim
    from gpu_jobs.engine.job import prepare
    from gpu_jobs.engine.ranks import ALONE

    job = prepare(spec, context, ALONE)
    times = []
    for step in range(spec.steps):
        begun = time.perf_counter()
        rate = optim.set_rate(spec, job.optimizer, step, job.full_tokens(step))
        float(loop.update(job, step, rate)[0])
        times.append(time.perf_counter() - begun)
    planned = cost.plan_for(spec, job.facts["model"]["config"], bf16=job.bf16)
    return {
        "seconds": statistics.median(times[2:]),
        "peak": memory.end("train"),
        "planned": planned.memory["total"] or 0,
        "trainable": job.facts["parameters"]["trainable"],
    }


def train_with_trainer(memory: Any, spec: Training, context: Context) -> dict[str, float]:
    """transformers' Trainer on PEFT's LoRA of the same rank and targets, its reports off."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments

    from gpu_jobs.engine import data

    path = spec.model.path  # type: ignore[union-attr]
    plain = AutoModelForCausalLM.from_pretrained(path)
    config = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
    model = get_peft_model(plain, config)
    source = data.load(spec.data, task="causal_lm", tokenizer={"name": "byte"}, context=context, seed=0,
                       sequence_length=spec.sequence_length).train  # fmt: skip

    class Samples(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return len(source)

        def __getitem__(self, index: int) -> Any:
            return {name: value[0] for name, value in source.batch(torch.tensor([index]).numpy()).items()}

    times: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append(time.perf_counter())

    arguments = TrainingArguments(
        output_dir=str(context.work_dir), max_steps=spec.steps, per_device_train_batch_size=spec.batch_size,
        optim="adamw_torch_fused", learning_rate=1e-3, max_grad_norm=1.0, report_to=[], save_strategy="no",
        logging_strategy="no", disable_tqdm=True, use_cpu=not torch.cuda.is_available(),
    )  # fmt: skip
    Trainer(model=model, args=arguments, train_dataset=Samples(), callbacks=[Clock()]).train()
    steps = [after - before for before, after in itertools.pairwise(times)]
    return {"seconds": statistics.median(steps[1:]), "peak": memory.end("train")}


def infer(memory: Any, spec: Training, context: Context) -> dict[str, float]:
    """Forwards of the base alone, nothing kept."""
    import torch

    from gpu_jobs.engine import loop
    from gpu_jobs.engine.job import prepare
    from gpu_jobs.engine.ranks import ALONE

    job = prepare(spec, context, ALONE)
    times = []
    for step in range(spec.steps):
        begun = time.perf_counter()
        parts = job.batches(job.sampler.indices(step), 1)
        loop._forward(job, parts, torch.tensor(float(job.objective.count(parts[0]))))
        times.append(time.perf_counter() - begun)
    return {"seconds": statistics.median(times[2:]), "peak": memory.end("train")}


def forward_merged(memory: Any, spec: Training, context: Context) -> dict[str, float]:
    """Forwards after the adapter has become part of the weights."""
    import torch

    from gpu_jobs.anatomy import adapter_of
    from gpu_jobs.engine import adapters
    from gpu_jobs.engine.job import prepare
    from gpu_jobs.engine.ranks import ALONE

    job = prepare(spec, context, ALONE)
    model = adapters.merge(job.bare) if adapter_of(spec.method) else job.bare
    model.eval()
    batch = job.data.train.batch(job.sampler.indices(0))
    times = []
    with torch.no_grad():
        for _ in range(spec.steps):
            begun = time.perf_counter()
            model(input_ids=batch["input_ids"])
            times.append(time.perf_counter() - begun)
    return {"seconds": statistics.median(times[2:]), "peak": memory.end("train")}


def first_step(memory: Any, spec: Training, context: Context) -> dict[str, float]:
    """The job as a worker runs it, until its first metrics."""
    from gpu_jobs import outcomes
    from gpu_jobs.events import Metrics

    begun = time.perf_counter()
    next(event for event in outcomes.run(spec, context) if isinstance(event, Metrics))
    return {"seconds": time.perf_counter() - begun, "peak": memory.end("train")}


ARMS: dict[str, Arm] = {
    "train": train, "trainer": train_with_trainer, "infer": infer, "merged": forward_merged, "first": first_step,
}  # fmt: skip


def child(arm: str, spec: dict[str, Any], folder: str, threads: int, pipe: Any) -> None:
    """In the forked process."""
    import torch

    from gpu_jobs.engine import device

    logging.disable(logging.WARNING)
    torch.set_num_threads(threads)
    parsed = parse(spec)
    with tempfile.TemporaryDirectory() as work:
        context = Context(work_dir=Path(work), cache_dir=Path(folder) / "cache")
        memory = device.PeakMemory(device.pick())
        try:
            pipe.send(ARMS[arm](memory, parsed, context))  # type: ignore[arg-type]
        except (JobError, RuntimeError, ValueError) as error:
            pipe.send({"error": " ".join(str(error).split())[:90]})


def measure(arm: str, spec: Training, folder: Path, threads: int) -> dict[str, Any]:
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=child, args=(arm, spec.model_dump(mode="json"), str(folder), threads, sender))
    process.start()
    sender.close()
    found: dict[str, Any] = {"error": "the process died"}
    with contextlib.suppress(EOFError):
        found = receiver.recv()
    process.join()
    return found


def compare(arms: dict[str, tuple[str, Training]], folder: Path, options: argparse.Namespace) -> None:
    """A table; ratios are against the first arm."""
    first, rows = next(iter(arms)), {name: [] for name in arms}  # type: dict[str, list[dict[str, Any]]]
    for repeat in range(options.repeats + 1):
        for name, (arm, spec) in arms.items():
            if not any("error" in found for found in rows[name]):
                found = measure(arm, spec, folder, options.threads)
                rows[name] += [found] if repeat or "error" in found else []
    print(f"{'arm':<22}{'trained':>10}{'ms':>9}{'time':>8}{'MiB':>8}{'memory':>8}{'planned':>9}")
    for name, found in rows.items():
        print(f"{name:<22}{_cells(found, rows[first])}")


def _cells(found: list[dict[str, Any]], first: list[dict[str, Any]]) -> str:
    if "error" in found[0]:
        return f"  {found[0]['error']}"
    middle = {key: statistics.median(row[key] for row in found) for key in found[0]}
    ratios = [
        statistics.median(row[key] / base[key] for row, base in zip(found, first, strict=True))
        for key in ("seconds", "peak")
    ]
    trained = f"{middle['trainable']:,.0f}" if "trainable" in middle else ""
    planned = f"{middle['planned'] / middle['peak']:.2f}x" if middle.get("planned") else ""
    return (
        f"{trained:>10}{1000 * middle['seconds']:>9.1f}{ratios[0]:>7.2f}x{middle['peak'] / 2**20:>8.0f}"
        f"{ratios[1]:>7.2f}x{planned:>9}"
    )


def arms_of(options: argparse.Namespace, base: Path) -> dict[str, tuple[str, Training]]:
    def spec(method: dict[str, Any]) -> Training:
        return spec_of(options, base, method)

    full, lora = spec({"name": "full"}), spec({"name": "lora"})
    every = [name for family in ("adapters", "strategies") for name in registry.methods(family)]
    chosen = options.methods or every
    match options.command:
        case "methods":
            return {"full": ("train", full)} | {
                name: ("train", spec({"name": name})) for name in chosen if name != "full"
            }
        case "trainer":
            return {"HF PEFT + Trainer": ("trainer", lora), "Hone": ("train", lora)}
        case "forward":
            forward_only = [
                name for name in registry.methods("strategies") if getattr(_module(name), "IS_FORWARD_ONLY", False)
            ]
            return {"inference": ("infer", full)} | {name: ("train", spec({"name": name})) for name in forward_only}
        case "merged":
            names = [name for name in chosen if name in registry.methods("adapters")]
            return {"base": ("merged", full)} | {name: ("merged", spec({"name": name})) for name in names}
        case _:
            return {name: ("first", spec({"name": name})) for name in ["full", *chosen] if name in every}


def _module(name: str) -> Any:
    return registry.methods("strategies")[name].module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["methods", "trainer", "forward", "merged", "start"])
    parser.add_argument("--methods", nargs="*", default=[])
    for name, default in (("steps", 12), ("repeats", 3), ("threads", 2), ("batch-size", 8), ("sequence-length", 256),
                          ("layers", 6), ("width", 384)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--precision", default="fp32")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    FORK.set_forkserver_preload(["torch", "transformers", "peft", "gpu_jobs.engine.loop", "benchmarks.finetune"])
    with tempfile.TemporaryDirectory() as folder:
        compare(arms_of(options, make_base(options, Path(folder))), Path(folder), options)


if __name__ == "__main__":
    main()
