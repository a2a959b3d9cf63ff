"""What merging costs: time, and the most memory that it holds, in models.

    python benchmarks/merge.py [--methods dare ties ...] [--experts 8] [--layers 11] [--width 768] [--vocab 32000]

A llama (102.5 million parameters by default, float32) and experts that differ from it by small random deltas are
written to disk; every method then merges them in a process of its own, forked from one that has imported torch, as a
worker's runs are. Memory is the most that the process held above what it was forked with, as a multiple of one model's
bytes; `inspect` is the pass that comes before every merge. Seconds are those of the clock, then those that processors
worked. With `--methods all` every method runs, which takes minutes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

from gpu_jobs import registry, shapes
from gpu_jobs.sources import ConfigModel

FORK = multiprocessing.get_context("forkserver")
QUICK = ["average", "task_arithmetic", "dare"]
DELTA = 0.001  # standard deviation of an expert's deltas


def make(options: argparse.Namespace, folder: Path) -> list[Path]:
    """The folders of the base and of its experts, with the names and shapes that transformers gives them."""
    import torch
    from safetensors.torch import save_file

    model = ConfigModel(layers=options.layers, width=options.width, heads=options.width // 64, context=1024)
    config = model.config(vocab_size=options.vocab) | {"architectures": ["LlamaForCausalLM"]}
    found = shapes.parameters(config, "causal_lm") or {}
    draw = torch.Generator().manual_seed(0)
    base = {name: 0.02 * torch.randn(shape, generator=draw) for name, shape in found.items()}
    folders = [folder / "base", *(folder / f"expert-{number}" for number in range(options.experts))]
    for place in folders:
        place.mkdir()
        (place / "config.json").write_text(json.dumps(config))
        size = 0.0 if place.name == "base" else DELTA
        tensors = {name: value + size * torch.randn(value.shape, generator=draw) for name, value in base.items()}
        save_file(tensors, place / "model.safetensors", {"format": "pt"})
    return folders


def party_of(folders: list[Path]) -> Any:
    from gpu_jobs.engine.folders import Folder
    from gpu_jobs.engine.merging.experts import Member, Party
    from gpu_jobs.engine.merging.weights import Weights

    members = [
        Member(path.name, Folder(path), Weights(Folder(path)), json.loads((path / "config.json").read_text()), 0)
        for path in folders
    ]
    return Party(members[0], members[1:])


def child(method: str | None, folders: list[Path], out: Path, threads: int, pipe: Any) -> None:
    """In the forked process: the merge of one method, or the pass before it."""
    import torch

    from gpu_jobs.engine.device import PeakMemory
    from gpu_jobs.engine.merging.inspection import inspect
    from gpu_jobs.engine.merging.writing import Merge

    torch.set_num_threads(threads)
    memory, begun, worked = PeakMemory(torch.device("cpu")), time.perf_counter(), time.process_time()
    party = party_of(folders)
    if method is None:
        inspect(party, 0)
    else:
        knobs: Any = registry.methods("mergers")[method].knobs.model_validate({"name": method})
        Merge(party, knobs, (1.0,) * len(party.experts), 0).write(out)
    pipe.send((time.perf_counter() - begun, time.process_time() - worked, memory.end("merge")))


def measure(method: str | None, folders: list[Path], out: Path, threads: int) -> tuple[float, float, int]:
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=child, args=(method, folders, out, threads, sender))
    process.start()
    sender.close()
    found: tuple[float, float, int] = receiver.recv()
    process.join()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=QUICK)
    for name, default in (("experts", 8), ("layers", 11), ("width", 768), ("vocab", 32_000), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    methods = list(registry.methods("mergers")) if options.methods == ["all"] else options.methods
    FORK.set_forkserver_preload(["torch", "gpu_jobs.engine.merging.writing", "benchmarks.merge"])
    with tempfile.TemporaryDirectory() as folder:
        folders = make(options, Path(folder))
        size = (folders[0] / "model.safetensors").stat().st_size
        print(f"{options.experts} experts of {size / 4e6:.1f} million parameters, {size / 2**20:.0f} MiB each")
        print(f"{'arm':<18}{'seconds':>9}{'of CPU':>9}{'MiB':>8}{'models':>9}")
        for method in [None, *methods]:
            wall, worked, peak = measure(method, folders, Path(folder) / "out", options.threads)
            print(
                f"{method or 'inspect':<18}{wall:>9.1f}{worked:>9.1f}{peak / 2**20:>8.0f}{peak / size:>8.2f}x",
                flush=True,
            )


if __name__ == "__main__":
    main()
