"""The sparsity of each pruned layer: blocks side by side, in each a bar for every matrix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.runs.models import Run

NUMBER = re.compile(r"\.(\d+)\.")
REST = "other"  # layers that stand in no block


class Bars(NamedTuple):
    """`shares[kind][block]` in [0, 1]; `target` is what was asked for."""

    shares: dict[str, dict[str, float]]
    blocks: list[str]
    target: float | None


def data(run: Run) -> Bars:
    """From the run's result."""
    told = _mapping(_mapping(run.result).get("sparsity"))
    layers = _mapping(told.get("layers"))
    shares: dict[str, dict[str, float]] = {}
    for name in sorted(layers, key=in_order):
        if _is_number(layers[name]):
            block, kind = placed(name)
            shares.setdefault(kind, {})[block] = float(layers[name])
    blocks = dict.fromkeys(block for of in shares.values() for block in of)
    target: Any = told.get("target")
    return Bars(
        shares, sorted(blocks, key=lambda block: in_order(f".{block}.")), float(target) if _is_number(target) else None
    )


def placed(name: str) -> tuple[str, str]:
    """The block and the matrix in it: model.layers.0.self_attn.q_proj -> ("0", "self_attn.q_proj")."""
    match = NUMBER.search(name)
    return (match[1], name[match.end() :]) if match else (REST, name)


def in_order(name: str) -> tuple[bool, int, str]:
    """Sorts layers by block, and by name in it: Postgres keeps no order of keys. Those in no block come last."""
    block, kind = placed(name)
    return (block == REST, int(block) if block != REST else 0, kind)


def figure(data: Bars) -> Json:
    """No trace where nothing is known."""
    return {
        "data": [_bar(kind, of, data.blocks, place) for place, (kind, of) in enumerate(data.shares.items())],
        "layout": theme.layout(
            "block",
            "share of weights removed",
            barmode="group",
            bargap=0.25,
            showlegend=True,
            hovermode="closest",
            margin={"l": 54, "r": 16, "t": 28, "b": 40},
            xaxis={"type": "category", "ticks": "", "categoryorder": "array", "categoryarray": data.blocks},
            yaxis={"tickformat": ".0%", "rangemode": "tozero"},
            shapes=[_target(data.target)] if data.target is not None else [],
            meta=look.caption("dashed: what was asked for" if data.target is not None else ""),
        ),
    }


def _bar(kind: str, shares: Mapping[str, float], blocks: list[str], place: int) -> Json:
    there = [block for block in blocks if block in shares]
    return {
        "type": "bar", "name": theme.plain(kind), "x": there, "y": [shares[block] for block in there],
        "marker": {"color": theme.colour(place)},
        "hovertemplate": f"{theme.plain(kind)}, block %{{x}}: %{{y:.2%}}<extra></extra>",
    }  # fmt: skip


def _target(share: float) -> Json:
    line = {"color": "--ink-3", "width": 1, "dash": "dash"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": share, "y1": share, "line": line}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
