"""How a clone's spec is changed: a JSON merge patch (RFC 7386) that knows what a choice is."""

from __future__ import annotations

from typing import Any

CHOICES = ("name", "source", "kind")  # the keys by which a spec says which of several shapes an object has


def merged(spec: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A new spec. Objects are merged key by key and null removes a key; an object whose choice changes is replaced.

    `{"method": {"name": "full"}}` thus drops the rank of the LoRA that was there, which `full` would not understand.
    """
    result = dict(spec)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(_kept(result.get(key), value), value)
        else:
            result[key] = value
    return result


def _kept(old: Any, new: dict[str, Any]) -> dict[str, Any]:
    """What of the old value the new one is merged into."""
    if not isinstance(old, dict):
        return {}
    return {} if any(choice in new and new[choice] != old.get(choice) for choice in CHOICES) else old
