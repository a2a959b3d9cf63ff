"""`hone sweep watch`: a sweep's counts, until it is over."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from hone.commands.options import Arguments, Words, numbered, word
from hone.printing import say, say_json, text

if TYPE_CHECKING:
    from hone.client import Client

LIVE = ("running", "paused", "reporting")
EVERY_S = 2.0


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
        say(f"{sweep['end_reason']}" if sweep["end_reason"] else "")
    return 0 if sweep["status"] == "succeeded" else 1


def _line(sweep: dict[str, Any]) -> str:
    told = [f"{number} {status}" for status, number in sweep["counts"].items() if number and status != "total"]
    best = sweep["best"]
    tail = f"; best {text(best['value'])} (trial {best['trial']})" if best else ""
    return f"{sweep['status']}: {', '.join(told) or 'no trial yet'} of {sweep['trials']}{tail}"


def _show(line: str, before: str) -> None:
    if not sys.stdout.isatty():
        say(line)
        return
    sys.stdout.write(f"\r{line.ljust(len(before))}")
    sys.stdout.flush()


def _seconds(value: str) -> float:
    return max(float(value), 0.1)
