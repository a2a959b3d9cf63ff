"""Groups of runs that differ in nothing but their seed, named by what tells them apart."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from webapp.sweeps.measures import reading
from webapp.sweeps.rows import Row

SEED, METHOD = "seed", "method.name"
TAGS = ("name", "source")  # what a block of the spec is: other knobs of it mean nothing across two of them
LONGEST_VALUE = 32
Settings = Mapping[str, Any]  # dotted path -> a plain value


class Group(NamedTuple):
    """`key` is its first run. `settings` is what differs between the groups; `is_configuration`: only in the seed."""

    key: int
    label: str
    method: str
    settings: dict[str, Any]
    rows: list[Row]
    is_configuration: bool


def groups_of(rows: Iterable[Row], paths: Sequence[str] = ()) -> list[Group]:
    """By everything but the seed, or by the values at some paths of the spec. In the order of their first runs."""
    found = reading.grouped(sorted(rows, key=lambda row: row.run), lambda row: _key(row, paths))
    members = list(found.values())
    settings = [settings_of(some[0]) for some in members]
    told = _chosen(settings, paths) if paths else _differing(settings)
    words = zip(settings, told if paths else _near(settings, told), strict=True)
    labels = _unique([_label(each, mine, is_chosen=bool(paths)) for each, mine in words])
    return [
        Group(some[0].run, label, method_of(each), differs, some, is_configuration=not paths)
        for some, each, label, differs in zip(members, settings, labels, told, strict=True)
    ]


def settings_of(row: Row) -> dict[str, Any]:
    """The spec as paths, without the seed; a trial's own parameters are in it already, or are added."""
    return {**row.params, **_flat(row.spec)}


def method_of(settings: Settings) -> str:
    """What trained it; of runs from outside, whatever they are called."""
    return str(settings.get(METHOD) or settings.get("name") or settings.get("kind") or "")


def _key(row: Row, paths: Sequence[str]) -> str:
    settings = settings_of(row)
    chosen = {path: settings.get(path) for path in paths} if paths else settings
    return json.dumps(chosen, sort_keys=True, default=str)


def _flat(block: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in block.items():
        path = f"{at}{name}"
        if isinstance(value, Mapping):
            found |= _flat(value, f"{path}.")
        elif path != SEED:
            found[path] = value
    return found


def _chosen(settings: Sequence[Settings], paths: Sequence[str]) -> list[dict[str, Any]]:
    return [{path: each.get(path) for path in paths} for each in settings]


def _differing(settings: Sequence[Settings], heads: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Per group, the settings in which it differs from another of its head, where both have such a setting at all."""
    heads = heads or [""] * len(settings)
    paths = sorted({path for each in settings for path in each})
    values: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for head, each in zip(heads, settings, strict=True):
        for path in paths:
            values[head, path, _block(each, path)].add(repr(each.get(path)))
    return [
        {path: each[path] for path in paths if path in each and len(values[head, path, _block(each, path)]) > 1}
        for head, each in zip(heads, settings, strict=True)
    ]


def _block(settings: Settings, path: str) -> str:
    """What the block of a path is, like "lora" for method.rank; a block's own tag is compared with all."""
    block, _, knob = path.rpartition(".")
    return "" if not block or knob in TAGS else "/".join(str(settings.get(f"{block}.{tag}")) for tag in TAGS)


def _near(settings: Sequence[Settings], told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a label must say: that in which a group differs from others with the same method."""
    heads = [method_of(each) for each in settings]
    found = _differing(settings, heads)
    return [{path: value for path, value in mine.items() if path in close or path == METHOD}
            for mine, close in zip(told, found, strict=True)]  # fmt: skip


def _label(settings: Settings, told: Settings, *, is_chosen: bool) -> str:
    names = {path: short(path, told) for path in told if path not in (METHOD, "name")}
    words = [f"{name} {shown(told[path])}".strip() for path, name in names.items()]
    head = method_of(settings) if METHOD in told or not is_chosen else ""
    return " ".join(part for part in (head, ", ".join(words)) if part) or "all runs"


def short(path: str, others: Iterable[str]) -> str:
    """The last part of a path where it is clear; optimizer.name is the optimizer."""
    block, _, knob = path.rpartition(".")
    if knob == "name":
        return block
    is_clear = sum(other.rpartition(".")[2] == knob for other in others) < 2 and knob != "source"
    return (knob if is_clear else path.replace(".", " ")).replace("_", " ")


def shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    text = ",".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _unique(labels: Sequence[str]) -> list[str]:
    """A number behind those that are the same after all (long values are cut)."""
    counts, seen = Counter(labels), Counter[str]()
    found = []
    for label in labels:
        seen[label] += 1
        found.append(f"{label} ({seen[label]})" if counts[label] > 1 else label)
    return found
