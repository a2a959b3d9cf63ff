"""What stands in a spec, as a cell shows it."""

from __future__ import annotations

import json
from collections.abc import Sequence


def param_text(spec: object, path: Sequence[str]) -> str:
    """What stands there, as the query language has it: of an object its `name`."""
    for key in path:
        if isinstance(spec, list) and key.isdecimal() and int(key) < len(spec):
            spec = spec[int(key)]
        else:
            spec = spec.get(key) if isinstance(spec, dict) else None
    found = spec.get("name", spec) if isinstance(spec, dict) else spec
    if found is None or isinstance(found, str):
        return found or ""
    return json.dumps(found)
