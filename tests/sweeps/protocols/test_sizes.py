"""A model of another size, whatever source the base's model has."""

from __future__ import annotations

from typing import Any

from gpu_jobs import spec as specs
from webapp.sweeps.planning import sized


def test_an_architecture_keeps_its_own_knobs_and_changes_its_size() -> None:
    """ffn goes by the width again."""
    knobs = {"name": "mor", "layers": 1, "width": 32, "heads": 2, "ffn": 40, "recursions": 4}
    data = {"source": "builtin", "name": "language-reference"}
    base = {"kind": "pretrain", "data": data, "model": {"source": "library", "architecture": knobs}}
    found: Any = specs.parse(sized(base, "3x64"))
    size = found.model.architecture
    assert (size.layers, size.width, size.heads, size.ffn, size.recursions) == (3, 64, 64 // 32, None, 4)
