"""The form of a job spec, made from its JSON schema: what can be set, what was typed, and what is wrong with it.

A field's name in the page is its path in the spec ("optimizer.lr"). Nothing here checks a value: the spec's own
pydantic model does, and its sentences are placed beside the fields they are about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from webapp.pages.forms.nodes import Block, Group, Knob, Node, Path, walk
from webapp.pages.forms.schema import ASKED, Json, Part, Union, choice, is_object, parts
from webapp.pages.forms.values import widget_of, written

Error = Mapping[str, Any]
OTHER = "More"
SPELLED = {
    "lr": "learning rate", "gpu": "GPU", "gpus": "GPUs", "kv": "KV", "ffn": "feed-forward width", "rslora": "rsLoRA",
    "flops": "FLOPs", "kwh": "kWh",
}  # fmt: skip
REFERENCES = ("run", "upload")  # widgets that offer what there is, in the source of the same name


@dataclass(frozen=True)
class SpecForm:
    """`errors` are those that belong to no field."""

    groups: list[Group]
    errors: list[str]


def spec_form(schema: Json, values: Mapping[str, Any], errors: Iterable[Error] = ()) -> SpecForm:
    """The form of a kind. `values` is a spec, possibly incomplete or wrong; what it lacks shows the default. `errors`
    are `{loc, msg}` as the API gives them, `loc` with or without the leading "spec"."""
    groups: dict[str, Group] = {}
    for node in _children(schema, schema.get("$defs", {}), (), values):
        groups.setdefault(node.group, Group(label=node.group)).children.append(node)
    return SpecForm(list(groups.values()), _place(list(groups.values()), errors))


def _children(schema: Json, definitions: Json, path: Path, values: object) -> Iterator[Knob | Block]:
    given = values if isinstance(values, Mapping) else {}
    for part in parts(schema, definitions):
        value = given.get(part.name, part.schema.get("default"))
        if is_object(part.schema):
            yield _block(part, definitions, (*path, part.name), value)
        else:
            yield _knob(part, (*path, part.name), value, source=str(given.get("source", "")))


def _block(part: Part, definitions: Json, path: Path, value: object) -> Block:
    block = Block(path=path, **_about(part))
    there, schema = choice(part, definitions), part.schema
    if there:
        block.tag, block.selected = there.tag, _selected(part, there, value)
        block.options = [("", "empty")] * part.optional + [
            (tag, str(option.get("title", tag))) for tag, option in there.options.items()
        ]
        schema = there.options.get(block.selected, {})
        block.about = "" if there.tag == ASKED else str(schema.get("description", ""))
        value = {**(value if isinstance(value, Mapping) else {}), there.tag: block.selected}
    block.children = list(_children(schema, definitions, path, value))
    return block


def _selected(part: Part, there: Union, value: object) -> str:
    if there.tag == ASKED:
        return "yes" if isinstance(value, Mapping) else ""
    given = str(value.get(there.tag, "")) if isinstance(value, Mapping) else ""
    return given if given in there.options else "" if part.optional else next(iter(there.options))


def _knob(part: Part, path: Path, value: object, source: str) -> Knob:
    schema = part.schema
    widget = source if source == part.name and source in REFERENCES else widget_of(schema)
    return Knob(
        path=path,
        widget=widget,
        value=written(value),
        placeholder=written(schema.get("default")),
        choices=[*([""] if part.optional else []), *map(str, schema.get("enum", ()))],
        bounds="" if widget in REFERENCES else _bounds(schema),
        unit=schema.get("unit", ""),
        required=part.required,
        **_about(part),
    )


def _about(part: Part) -> dict[str, Any]:
    """The property's name is the label: the word of the spec, the same in the form, the API and the errors."""
    return {
        "label": label(part.name),
        "help": str(part.schema.get("description", "")),
        "group": str(part.schema.get("group", OTHER)),
        "advanced": bool(part.schema.get("advanced", False)),
    }


def label(name: str) -> str:
    """batch_size -> Batch size."""
    words = [SPELLED.get(word, word) for word in name.split("_")]
    return words[0][:1].upper() + " ".join(words)[1:]


def _bounds(schema: Json) -> str:
    """What a number may be, in one phrase: "1 to 256", "above 0, up to 10"."""
    if "minimum" in schema and "maximum" in schema:
        return f"{_grouped(schema['minimum'])} to {_grouped(schema['maximum'])}"
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "up to", "exclusiveMaximum": "below"}
    return ", ".join(f"{word} {_grouped(schema[key])}" for key, word in words.items() if key in schema)


def _grouped(number: float) -> str:
    return f"{int(number):,}" if float(number).is_integer() else written(number)


def _place(groups: list[Group], errors: Iterable[Error]) -> list[str]:
    """Puts each error at its field; returns the sentences that have none."""
    known = {node.path: node for node in walk(groups) if node.path}
    homeless: list[str] = []
    for error in errors:
        path = _path(error.get("loc", ()), known)
        (known[path].errors if path else homeless).append(str(error["msg"]))
    return homeless


def _path(loc: Iterable[object], known: Mapping[Path, Node]) -> Path:
    """The deepest known path along `loc`; what pydantic adds between (the union's tag, an index) is passed over."""
    path: Path = ()
    for step in loc:
        kind, colon, _ = str(step).partition(":")
        if colon and kind in REFERENCES:  # "run:12" is what the field of that reference says
            return next((node.path for node in known.values() if getattr(node, "widget", "") == kind), ())
        if (*path, str(step)) in known:
            path = (*path, str(step))
    return path
