"""What pruning costs and what quality it leaves, against the published recipes written plainly.

    python benchmarks/prune.py cost       [--criteria magnitude wanda obs_sparsegpt] [--layers 14] [--width 768]
    python benchmarks/prune.py quality    [--steps 400]   on a small llama that is pretrained first

The reference of each criterion stands here: blocks one after the other, the inputs of a block recorded by hooks, each
layer's scores sorted, columns worked through in a Python loop. It gets the same batches, and takes as many weights: to
the nearest. In `cost` every arm runs in a process of its own, forked from one that has imported torch; it loads the
model and warms up, and only the pruning is measured. Memory is the most that the process then holds above the loaded
model; Hone returns the masks, a byte for each weight, and the reference none. Arms take turns after a round of warm-up,
and ratios are medians of ratios within a round.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gpu_jobs
from gpu_jobs import registry
from gpu_jobs.context import Context
from gpu_jobs.spec import parse

FORK = multiprocessing.get_context("forkserver")
CRITERIA = ("magnitude", "wanda", "obs_sparsegpt")
PATTERNS = (("unstructured", 0.5), ("unstructured", 0.6), ("2:4", 0.5))
DAMPING, COLUMNS = 0.01, 128  # of SparseGPT, as published


def spec_of(options: argparse.Namespace, base: Path, criterion: str, pattern: str, sparsity: float, seed: int) -> Any:
    return parse({
        "kind": "prune", "model": {"source": "path", "path": str(base)},
        "data": {"source": "builtin", "name": "language-reference"}, "seed": seed, "precision": "fp32",
        "method": {"name": criterion, "sparsity": sparsity, "pattern": pattern},
        "sequence_length": options.sequence_length, "batch_size": 16, "eval_batches": 8,
        "calibration": {"samples": options.samples, "batch_size": 8},
    })  # fmt: skip


# The references.


def reference(criterion: str, model: Any, batches: Sequence[Any], sparsity: float, pattern: str) -> None:
    """Prunes in place."""
    if criterion == "magnitude":
        for layer in linear(model.model.layers).values():
            weight = layer.weight.data
            weight[chosen(weight.abs(), sparsity, pattern, by_row=False)] = 0
        return
    inputs, options = entered(model, batches)
    for block in model.model.layers:
        found = linear(block)
        sums = recorded(block, found, inputs, options, products=criterion == "obs_sparsegpt")
        for name, layer in found.items():
            if criterion == "wanda":
                metric = layer.weight.data.abs() * sums[name].sqrt()
                layer.weight.data[chosen(metric, sparsity, pattern, by_row=True)] = 0
            else:
                layer.weight.data = reconstructed(layer.weight.data.clone(), sums[name], sparsity, pattern)
        inputs = [called(block, hidden, rest) for hidden, rest in zip(inputs, options, strict=True)]


def linear(module: Any) -> dict[str, Any]:
    from torch import nn

    return {name: layer for name, layer in module.named_modules() if isinstance(layer, nn.Linear)}


def entered(model: Any, batches: Sequence[Any]) -> tuple[list[Any], list[dict[str, Any]]]:
    """What the first block is given."""
    import torch

    hidden, options = [], []

    def keep(_: Any, arguments: Any, given: Any) -> None:
        hidden.append(arguments[0])
        options.append(given)
        raise StopIteration

    handle = model.model.layers[0].register_forward_pre_hook(keep, with_kwargs=True)
    for batch in batches:
        with contextlib.suppress(StopIteration), torch.no_grad():
            model(input_ids=batch["input_ids"])
    handle.remove()
    return hidden, options


def called(block: Any, hidden: Any, options: dict[str, Any]) -> Any:
    import torch

    with torch.no_grad():
        out = block(hidden, **options)
    return out[0] if isinstance(out, tuple) else out


def recorded(block: Any, found: dict[str, Any], inputs: Any, options: Any, *, products: bool) -> dict[str, Any]:
    """Of each layer's inputs the sum of X^T X, or of its diagonal."""
    import torch

    sums: dict[str, Any] = {}

    def hook(name: str) -> Callable[..., None]:
        def add(_: Any, arguments: Any, __: Any) -> None:
            x = arguments[0].reshape(-1, arguments[0].shape[-1])
            sums[name] = sums.get(name, 0) + (x.T @ x if products else torch.norm(x, dim=0) ** 2)

        return add

    handles = [layer.register_forward_hook(hook(name)) for name, layer in found.items()]
    for hidden, rest in zip(inputs, options, strict=True):
        called(block, hidden, rest)
    for handle in handles:
        handle.remove()
    return sums


def chosen(metric: Any, sparsity: float, pattern: str, *, by_row: bool) -> Any:
    """What goes: bool."""
    import torch

    gone = torch.zeros_like(metric, dtype=torch.bool)
    if ":" in pattern:
        n, m = map(int, pattern.split(":"))
        for first in range(0, metric.shape[1], m):
            part = metric[:, first : first + m]
            gone.scatter_(1, first + torch.topk(part, m - n, dim=1, largest=False)[1], True)
    elif by_row:
        order = torch.sort(metric, dim=-1, stable=True)[1]
        gone.scatter_(1, order[:, : round(metric.shape[1] * sparsity)], True)
    else:
        limit = torch.sort(metric.flatten())[0][round(metric.numel() * sparsity) - 1]
        gone = metric <= limit
    return gone


def reconstructed(weight: Any, products: Any, sparsity: float, pattern: str) -> Any:
    """Frantar and Alistarh 2023, algorithm 1: a pruned weight's error is spread over the columns to its right."""
    import torch

    columns = weight.shape[1]
    dead = products.diagonal() == 0
    products[dead, dead] = 1
    weight[:, dead] = 0
    at = torch.arange(columns)
    products[at, at] += DAMPING * products.diagonal().mean()
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(products))
    inverse = torch.linalg.cholesky(inverse, upper=True)
    for first in range(0, columns, COLUMNS):
        last = min(first + COLUMNS, columns)
        part, factor = weight[:, first:last].clone(), inverse[first:last, first:last]
        errors = torch.zeros_like(part)
        kept = torch.zeros_like(part, dtype=torch.bool)
        if ":" not in pattern:
            score = part**2 / factor.diagonal()[None] ** 2
            kept = score > torch.sort(score.flatten())[0][round(score.numel() * sparsity) - 1]
        for column in range(last - first):
            if ":" in pattern:
                n, m = map(int, pattern.split(":"))
                if column % m == 0:
                    near = part[:, column : column + m] ** 2 / factor.diagonal()[None, column : column + m] ** 2
                    kept.scatter_(1, column + torch.topk(near, n, dim=1)[1], True)
            values = part[:, column] * kept[:, column]
            error = (part[:, column] - values) / factor[column, column]
            part[:, column:] -= error[:, None] * factor[column, column:][None]
            part[:, column] = values
            errors[:, column] = error
        weight[:, first:last] = part
        weight[:, last:] -= errors @ inverse[first:last, last:]
    return weight


# The arms.


def hone(subject: Any, spec: Any) -> None:
    from gpu_jobs.engine.pruning import scoring

    for _ in scoring.masks(subject, spec, spec.method.sparsity):
        pass


def plain(subject: Any, spec: Any) -> None:
    reference(spec.method.name, subject.bare, subject.batches(), spec.method.sparsity, spec.method.pattern)


ARMS: dict[str, Callable[[Any, Any], None]] = {"reference": plain, "Hone": hone}


def prepared(spec: Any, folder: Path) -> Any:
    """The model loaded, the calibration read."""
    import gpu_jobs.engine.pruning  # noqa: F401 - must come first
    from gpu_jobs.engine.shrinking import subject

    work = folder / "work"
    work.mkdir(exist_ok=True)
    found = subject.prepare(spec, Context(work_dir=work, cache_dir=folder / "cache"))
    found.batches()
    return found


def child(arm: str, spec: dict[str, Any], folder: str, threads: int, pipe: Any) -> None:
    """In the forked process."""
    import torch

    from gpu_jobs.engine import device

    logging.disable(logging.WARNING)
    torch.set_num_threads(threads)
    parsed = parse(spec)
    subject = prepared(parsed, Path(folder))
    with torch.no_grad():
        subject.bare(input_ids=subject.batches()[0]["input_ids"])
    memory, begun = device.PeakMemory(subject.device), time.perf_counter()
    ARMS[arm](subject, parsed)
    seconds = time.perf_counter() - begun
    pipe.send({"seconds": seconds, "peak": memory.end("prune"), "nonzero": density(subject.bare)})


def density(model: Any) -> float:
    layers = linear(model.model.layers).values()
    return float(sum(int(x.weight.count_nonzero()) for x in layers) / sum(x.weight.numel() for x in layers))


def measure(arm: str, spec: Any, folder: Path, threads: int) -> dict[str, float]:
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=child, args=(arm, spec.model_dump(mode="json"), str(folder), threads, sender))
    process.start()
    sender.close()
    found: dict[str, float] = receiver.recv()
    process.join()
    return found


def cost(options: argparse.Namespace, folder: Path) -> None:
    """Seconds and memory of both, side by side."""
    base = make_base(options, folder)
    print(f"{'criterion':<16}{'pattern':<14}{'reference':>11}{'Hone':>9}{'time':>8}{'MiB':>9}{'MiB':>8}{'memory':>8}")
    for criterion in options.criteria:
        for pattern, sparsity in (PATTERNS[0], PATTERNS[2]):
            spec = spec_of(options, base, criterion, pattern, sparsity, 0)
            rounds = [
                {arm: measure(arm, spec, folder, options.threads) for arm in ARMS} for _ in range(options.repeats + 1)
            ]
            print(f"{criterion:<16}{pattern:<14}{_cells(rounds[1:])}", flush=True)


def _cells(rounds: list[dict[str, dict[str, float]]]) -> str:
    def middle(arm: str, key: str) -> float:
        return statistics.median(each[arm][key] for each in rounds)

    def ratio(key: str) -> float:
        return statistics.median(each["Hone"][key] / each["reference"][key] for each in rounds)

    return (
        f"{middle('reference', 'seconds'):>10.2f}s{middle('Hone', 'seconds'):>8.2f}s{ratio('seconds'):>7.2f}x"
        f"{middle('reference', 'peak') / 2**20:>9.0f}{middle('Hone', 'peak') / 2**20:>8.0f}{ratio('peak'):>7.2f}x"
    )


def quality(options: argparse.Namespace, folder: Path) -> None:
    """Perplexity of both after pruning the same model with the same samples, over several draws of samples."""
    base = pretrain(options, folder)
    dense = prepared(spec_of(options, base, "magnitude", *PATTERNS[0], 0), folder).judge()["eval/perplexity"]
    print(f"dense: {dense:.4f}")
    print(f"{'criterion':<16}{'pattern':<20}{'reference':>11}{'Hone':>10}{'difference':>12}   each")
    for criterion in options.criteria:
        for pattern, sparsity in PATTERNS:
            found: dict[str, list[float]] = {arm: [] for arm in ARMS}
            for seed in range(1 if criterion == "magnitude" else options.repeats):
                spec = spec_of(options, base, criterion, pattern, sparsity, seed)
                for arm, prune in ARMS.items():
                    subject = prepared(spec, folder)
                    prune(subject, spec)
                    found[arm].append(subject.judge()["eval/perplexity"])
            pairs = [ours - theirs for theirs, ours in zip(found["reference"], found["Hone"], strict=True)]
            means = [statistics.mean(values) for values in found.values()]
            each = " ".join(f"{value:+.4f}" for value in pairs)
            name = f"{pattern} {sparsity:.0%}"
            print(
                f"{criterion:<16}{name:<20}{means[0]:>11.4f}{means[1]:>10.4f}{statistics.mean(pairs):>+12.4f}   {each}"
            )


def make_base(options: argparse.Namespace, folder: Path) -> Path:
    """A llama with random weights: time and memory ask no more."""
    from gpu_jobs.engine import data, models
    from gpu_jobs.sources import BuiltinData, ConfigModel

    model = ConfigModel(layers=options.layers, width=options.width, heads=options.width // 64, context=1024)
    context = Context(work_dir=folder, cache_dir=folder / "cache")
    loaded = data.load(BuiltinData(name="language-reference"), task="causal_lm", tokenizer={"name": "byte"},
                       sequence_length=64, context=context, seed=0)  # fmt: skip
    built = models.build(model, context=context, seed=0, task="causal_lm", vocab_size=loaded.vocab_size, labels=None)
    built.save_pretrained(folder / "base")
    loaded.tokenizer.save_pretrained(folder / "base")
    print(f"a llama of {sum(value.numel() for value in built.parameters()):,} weights, {options.samples} samples of "
          f"{options.sequence_length} tokens")  # fmt: skip
    return folder / "base"


def pretrain(options: argparse.Namespace, folder: Path) -> Path:
    """A small llama that has learned something."""
    spec = parse({
        "kind": "pretrain", "model": {"source": "config", "architecture": "llama", "layers": 4, "width": 128,
                                      "heads": 4, "context": 256},
        "data": {"source": "builtin", "name": "language-reference"}, "steps": options.steps, "batch_size": 16,
        "sequence_length": options.sequence_length, "eval_every": 0, "checkpoint_every": 0, "precision": "fp32",
        "optimizer": {"name": "adamw", "lr": 2e-3}, "schedule": {"name": "cosine", "warmup_steps": 20},
    })  # fmt: skip
    work = folder / "pretrained"
    work.mkdir()
    for _ in gpu_jobs.run(spec, Context(work_dir=work, cache_dir=folder / "cache")):
        pass
    return work / "model"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["cost", "quality"])
    known = [name for name in CRITERIA if name in registry.methods("criteria")]
    parser.add_argument("--criteria", nargs="*", default=known)
    for name, default in (("repeats", 3), ("threads", 2), ("samples", 32), ("sequence-length", 128), ("layers", 14),
                          ("width", 768), ("steps", 400)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    FORK.set_forkserver_preload(["torch", "transformers", "peft", "gpu_jobs.engine.pruning", "benchmarks.prune"])
    with tempfile.TemporaryDirectory() as folder:
        (cost if options.command == "cost" else quality)(options, Path(folder))


if __name__ == "__main__":
    main()
