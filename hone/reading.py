"""What people hand to the command: JSON and YAML files, and key=value words."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hone.errors import HoneError

EXPONENT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$")


def document(path: str) -> dict[str, Any]:
    """The object in a JSON or YAML file; `-` reads the standard input. Raises HoneError naming file and line."""
    text = _text(path)
    value = _yaml(path, text) if path.endswith((".yaml", ".yml")) else _json(path, text)
    if not isinstance(value, dict):
        raise HoneError(f"{path} must hold an object with fields, not {type(value).__name__}.")
    return value


def pairs(words: Iterable[str]) -> dict[str, Any]:
    """["optimizer.lr=1e-3", "method.name=lora"] as a dict; a value that is JSON is read as JSON."""
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise HoneError(f"{word!r} must be written as name=value, like optimizer.lr=1e-3.")
        found[name] = _plain(value)
    return found


def _text(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text()
    except OSError as error:
        raise HoneError(f"{path} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise HoneError(f"{path} is no text in UTF-8.") from None


def _json(path: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise HoneError(f"{path} is not JSON: {error}.") from None


def _yaml(path: str, text: str) -> Any:
    import yaml

    try:
        return yaml.load(text, Loader=_loader())  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f" in line {place.line + 1}" if place else ""
        raise HoneError(f"{path} is not YAML{where}: {getattr(error, 'problem', error)}.") from None


def _loader() -> Any:
    """The safe loader, but 1e-3 is a number, as in YAML 1.2, and a time stays the text that the API wants."""
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers = {
            first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+.0123456789"))
    return Loader


def _plain(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
