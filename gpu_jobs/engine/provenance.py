"""Where and with what a run was computed. Never the environment, whose variables may be secret."""

from __future__ import annotations

import os
import platform
import re
import shlex
import socket
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("torch", "transformers", "peft", "numpy", "tokenizers", "datasets", "safetensors", "hone-lab")
GIT_TIMEOUT_S = 5
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
_SECRET_OPTION = re.compile(r"^(--?[\w-]*(?:token|password|secret|key)[\w-]*)(=.*)?$", re.IGNORECASE)


def collect(seed: int) -> dict[str, Any]:
    """Plain values: code, versions, hardware, command and seed. What can't be found out is None."""
    return {
        "seed": seed,
        "git": git(Path(__file__).resolve().parents[2]),
        "python": platform.python_version(),
        "versions": versions(),
        "os": platform.platform(),
        "hostname": socket.gethostname(),
        "cpu": {"model": cpu_model(), "cores": os.cpu_count(), "usable_cores": len(os.sched_getaffinity(0))},
        "memory_bytes": psutil.virtual_memory().total,
        **gpus(),
        # A process that a worker forked carries the forkserver's command line, which tells nothing.
        "command": None if parent_process() else command(sys.orig_argv),
    }


@cache
def git(root: Path) -> dict[str, Any] | None:
    """Commit and whether tracked files differ from it, when `root` itself is a checkout; else None."""
    if not (root / ".git").exists():
        return None
    question = ["git", "-C", str(root), "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        answer = subprocess.run(question, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = answer.stdout.splitlines()
    commit = next((line.split()[2] for line in lines if line.startswith("# branch.oid ")), None)
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}


@cache
def versions() -> dict[str, str | None]:
    """The installed version of each package that can change a result."""
    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


@cache
def cpu_model() -> str | None:
    """As the kernel names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    names = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model")))
    return next(names, platform.processor() or platform.machine() or None)


def gpus() -> dict[str, Any]:
    """`gpus`: name and memory of each that the job sees; `driver`: NVIDIA's version, None without one."""
    import pynvml

    from gpu_jobs.engine.monitor import visible_gpus

    handles = visible_gpus()
    if not handles:
        return {"gpus": [], "driver": None}
    try:
        seen = [
            {"name": pynvml.nvmlDeviceGetName(handle), "memory_bytes": pynvml.nvmlDeviceGetMemoryInfo(handle).total}
            for handle in handles
        ]
        return {"gpus": seen, "driver": pynvml.nvmlSystemGetDriverVersion()}
    except pynvml.NVMLError:
        return {"gpus": [], "driver": None}


def command(arguments: list[str]) -> str:
    """The command line of this process, with passwords in addresses and the values of secret options left out."""
    shown: list[str] = []
    hide_next = False
    for argument in arguments:
        option = _SECRET_OPTION.match(argument)
        shown.append("***" if hide_next else f"{option[1]}=***" if option and option[2] else _hide(argument))
        hide_next = bool(option) and not option[2] if option else False
    return shlex.join(shown)


def _hide(argument: str) -> str:
    return _CREDENTIALS.sub("***@", argument)
