"""How long `make up` takes: from a fresh clone (pip's cache warm) to the first page, and again on the same home.

    python benchmarks/startup.py [--repeats 3]

Clones this checkout's HEAD into a temporary folder, so the first start includes making the virtual environment.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_and_stop(clone: Path) -> float:
    """Seconds from the command to its greeting, which it prints once the web server has answered."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HONE_", "DATABASE_", "REDIS_"))}
    environment = {**kept, "HONE_PORT": str(free_port())}
    began = time.perf_counter()
    process = subprocess.Popen(
        ["make", "up"], cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "Sign in once with" in line:
            break
    else:
        raise SystemExit(f"make up ended with status {process.wait()}")
    seconds = time.perf_counter() - began
    os.killpg(process.pid, signal.SIGINT)
    process.stdout.read()
    process.wait()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="second starts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "hone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        first = start_and_stop(clone)
        again = [start_and_stop(clone) for _ in range(options.repeats)]
    print(f"first start, from nothing   {first:6.1f} s")
    print(f"second start, median        {statistics.median(again):6.1f} s   ({min(again):.1f} to {max(again):.1f})")


if __name__ == "__main__":
    main()
