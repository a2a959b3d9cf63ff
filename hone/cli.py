"""The `hone` command."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys

from hone.commands import options, protocol, runs, schedule, sweep, sync
from hone.errors import HoneError

GROUPS = (runs, sweep, schedule, protocol, sync)


def main(arguments: list[str] | None = None) -> None:
    parser = _parser()
    parsed, rest = parser.parse_known_args(arguments)
    if parsed.command == "worker":
        run_worker(rest)
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        sys.exit(options.execute(parsed))
    except HoneError as error:
        sys.exit(f"hone: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `hone runs list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hone",
        description="Hone from the command line.",
        epilog="HONE_URL names the server, HONE_TOKEN a token; without them it is the Hone on this machine.",
    )
    groups = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    groups.add_parser("worker", add_help=False, help="run a worker here; takes the options of `python -m workers`")
    for group in GROUPS:
        group.add(groups)
    return parser


def run_worker(options: list[str]) -> None:
    """Becomes `python -m workers`: the client never imports the server."""
    if importlib.util.find_spec("workers") is None:
        sys.exit("hone: this machine has only the client. Install the worker: pip install 'hone-lab[jobs,web]'.")
    os.execv(sys.executable, [sys.executable, "-m", "workers", *options])  # noqa: S606


if __name__ == "__main__":
    main()
