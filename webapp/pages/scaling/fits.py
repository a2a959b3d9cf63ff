"""What one can say of a fit from its spec: its law, and where its points come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpu_jobs import registry
from webapp.pages.runs.describe import dig

MOST_VALUES = 20


def law_of(spec: Mapping[str, Any]) -> str:
    """The law's title, and that of the one behind it."""
    names = [dig(spec, "law", "name"), dig(spec, "then", "law", "name")]
    methods = registry.methods("laws")
    return " → ".join(methods[name].title if name in methods else str(name) for name in names if name)


def source_of(spec: Mapping[str, Any]) -> str:
    """The query, the number of the upload, or that it is a table."""
    points = dig(spec, "points") or {}
    match points.get("source"):
        case "runs":
            return str(points.get("query", ""))
        case "upload":
            return f"upload {points.get('upload')}"
    return "table"


def command_of(spec: Mapping[str, Any]) -> str:
    """What repeats a revision by hand, with its spec out of the page's export."""
    source = dig(spec, "points", "source")
    more = f" --input upload:{dig(spec, 'points', 'upload')}=points.csv" if source == "upload" else ""
    return f"python -m gpu_jobs run spec.json{more}"


def short(values: Any) -> Any:
    """The spec with long columns told by their number of values."""
    if isinstance(values, Mapping):
        return {name: short(value) for name, value in values.items()}
    is_long = isinstance(values, list) and len(values) > MOST_VALUES
    return f"{len(values):,} values" if is_long else values
