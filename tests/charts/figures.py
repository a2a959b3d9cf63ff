"""What every figure must be: plain JSON, colours only by name, and valid to Plotly itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

TOKENS = (Path(__file__).parents[2] / "static" / "css" / "tokens.css").read_text()
VARIABLE = re.compile(r"^(--[a-z0-9-]+)(/[0-9.]+)?$")


def coloured(value: Any) -> Any:
    """The figure as a browser would resolve it; fails for a variable that tokens.css does not define."""
    if isinstance(value, str) and value.startswith("--"):
        match = VARIABLE.match(value)
        assert match, value
        assert f"{match[1]}:" in TOKENS, f"tokens.css has no {match[1]}"
        return "Inter" if match[1].startswith("--font") else "#336699"
    if isinstance(value, dict):
        return {key: coloured(item) for key, item in value.items()}
    if isinstance(value, list):
        return [coloured(item) for item in value]
    assert not (isinstance(value, str) and re.match(r"#[0-9a-f]{3,8}$|rgb\(", value)), f"{value} is no token"
    return value


def validated(figure: dict[str, Any]) -> go.Figure:
    json.dumps(figure, allow_nan=False)
    return go.Figure(coloured(figure))


def is_shown_in_every_figure(figure: dict[str, Any]) -> bool:
    layout = validated(figure).layout
    assert layout.template.layout.paper_bgcolor == "rgba(0,0,0,0)"
    assert layout.template.layout.xaxis.showgrid is False
    return bool(layout.xaxis.title.text)
