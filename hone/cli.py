"""The `hone` command."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys


def main() -> None:
    parser = argparse.ArgumentParser(prog="hone", description="Hone on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("worker", add_help=False, help="run a worker here; takes the options of `python -m workers`")
    arguments, options = parser.parse_known_args()
    if arguments.command == "worker":
        run_worker(options)


def run_worker(options: list[str]) -> None:
    """Becomes `python -m workers`: the client never imports the server."""
    if importlib.util.find_spec("workers") is None:
        sys.exit("hone: this machine has only the client. Install the worker: pip install 'hone-lab[jobs,web]'.")
    os.execv(sys.executable, [sys.executable, "-m", "workers", *options])  # noqa: S606


if __name__ == "__main__":
    main()
