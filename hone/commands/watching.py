"""`hone sweep watch`: a sweep's counts, until it is over."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from hone.commands.options import Arguments, Words, numbered, word
from hone.printing import say, say_json, text

if TYPE_CHECKING:
    from hone.client import Client

LIVE = ("running", "paused", "reporting")
EVERY_S, SHORTEST_S, LONGEST_S = 2.0, 0.1, 3600.0


def add(words: Words) -> None:
    parser = word(words, "watch", watch, "follow a sweep until it is over; the exit status says whether it succeeded")
    numbered(parser)
    parser.add_argument("--every", type=_seconds, default=EVERY_S, metavar="SECONDS", help="default: 2")


def watch(client: Client, arguments: Arguments) -> int:
    """A line whenever something has changed; on a terminal one line that is written over."""
    before = ""
    while True:
        sweep = client.get(f"/sweeps/{arguments.id}")
        line = _line(sweep)
        if line != before and not arguments.json:
            _show(line, before)
        before = line
        if sweep["status"] not in LIVE:
            break
        time.sleep(arguments.every)
    if arguments.json:
        say_json(sweep)
    else:
        say(f"\n{sweep['end_reason']}" if sys.stdout.isatty() else sweep["end_reason"])
    return 0 if sweep["status"] == "succeeded" else 1


def progress(sweep: dict[str, Any]) -> str:
    """`2 running, 7 succeeded of 12`. Imported trials come on top of those that it is to have."""
    told = [f"{number} {status}" for status, number in sweep["counts"].items() if number and status != "total"]
    return f"{', '.join(told) or 'none'} of {max(sweep['trials'], sweep['counts']['total'])}"


def _line(sweep: dict[str, Any]) -> str:
    best = sweep["best"]
    tail = f"; best {text(best['value'])} (trial {best['trial']})" if best else ""
    return f"{sweep['status']}: {progress(sweep)}{tail}"


def _show(line: str, before: str) -> None:
    if not sys.stdout.isatty():
        say(line)
        return
    sys.stdout.write(f"\r{line.ljust(len(before))}")
    sys.stdout.flush()


def _seconds(value: str) -> float:
    seconds = float(value)
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"must lie between {SHORTEST_S:g} and {LONGEST_S:g}, not {value}")
    return seconds
