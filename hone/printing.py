"""What the command prints: the API's JSON, aligned tables, or one fact a line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def say_json(value: Any) -> None:
    say(json.dumps(value, indent=2, ensure_ascii=False))


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Columns as wide as their widest cell; numbers to the right."""
    raw = list(rows)
    cells = [[text(cell) for cell in row] for row in raw]
    widths = [max(len(name), *(len(row[place]) for row in cells), 0) for place, name in enumerate(header)]
    right = [bool(raw) and all(_is_number(row[place]) for row in raw) for place in range(len(header))]
    for row in [list(header), *cells]:
        padded = (
            cell.rjust(width) if to else cell.ljust(width) for cell, width, to in zip(row, widths, right, strict=True)
        )
        say("  ".join(padded).rstrip())


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """`name  value`, a line each; what is None or empty is left out."""
    shown = [(name, text(value)) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        say(f"{name.ljust(width)}  {value}")


def text(value: Any) -> str:
    """A cell. Six digits tell two losses apart; the rest is in --json."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return " ".join(f"{name}={text(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(text(item) for item in value)
    return str(value)


def moment(iso: str | None) -> str | None:
    """A time of the API in this machine's zone."""
    if not iso:
        return None
    return datetime.fromisoformat(iso.replace("Z", "+00:00")).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
