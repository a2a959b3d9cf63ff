"""What a spec's form consists of: groups of blocks and knobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

Path = tuple[str, ...]


@dataclass(kw_only=True)
class Node:
    """A place in the spec, what the page says of it, and what is wrong there."""

    path: Path = ()
    label: str
    help: str = ""
    group: str = ""
    advanced: bool = False
    errors: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return ".".join(self.path)

    @property
    def id(self) -> str:
        return "f-" + "-".join(self.path)


@dataclass(kw_only=True)
class Knob(Node):
    """One value. `widget` names the template's branch: text, number, select, switch, list, json, lines, run or
    upload."""

    widget: str
    value: str
    placeholder: str = ""
    choices: Sequence[str] = ()
    bounds: str = ""
    unit: str = ""
    rows: int = 3  # of a text of several lines
    required: bool = False


@dataclass(kw_only=True)
class Parent(Node):
    """Has children; the advanced ones are folded away unless something in them is wrong."""

    children: list[Knob | Block] = field(default_factory=list)

    @property
    def knobs(self) -> list[Knob]:
        """What must be set or chosen comes first, otherwise as declared."""
        shown = [child for child in self.children if isinstance(child, Knob) and not child.advanced]
        return sorted(shown, key=lambda knob: (not knob.required, knob.widget != "select"))

    @property
    def blocks(self) -> list[Block]:
        return [child for child in self.children if isinstance(child, Block) and not child.advanced]

    @property
    def advanced_knobs(self) -> list[Knob]:
        return [child for child in self.children if isinstance(child, Knob) and child.advanced]

    @property
    def advanced_blocks(self) -> list[Block]:
        return [child for child in self.children if isinstance(child, Block) and child.advanced]

    @property
    def is_open(self) -> bool:
        """Whether the advanced part is unfolded."""
        folded = walk([*self.advanced_knobs, *self.advanced_blocks])
        return any(node.errors or (isinstance(node, Block) and node.advanced and node.selected) for node in folded)


@dataclass(kw_only=True)
class Block(Parent):
    """A part with parts of its own. With `options` it is one of several, told apart by the property `tag`."""

    tag: str = ""
    options: Sequence[tuple[str, str]] = ()
    selected: str = ""
    about: str = ""

    @property
    def tag_name(self) -> str:
        return f"{self.name}.{self.tag}"


@dataclass(kw_only=True)
class Group(Parent):
    """What belongs together under one heading; no place in the spec."""


def walk(nodes: Iterable[Node]) -> Iterator[Node]:
    """Every node, depth first."""
    for node in nodes:
        yield node
        if isinstance(node, Parent):
            yield from walk(node.children)
