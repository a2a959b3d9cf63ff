"""Where the names of points stand, so that they cover each other as little as can be."""

from __future__ import annotations

from collections.abc import Sequence

from webapp.charts.theme import Json

Box = tuple[float, float, float, float]  # left, bottom, right, top, as shares of the plot
CHARACTER, HEIGHT, GAP = 0.0075, 0.05, 0.012
SMALL = 2.0  # a small plot is half as wide: its letters take twice the share
SIDES: tuple[tuple[str, str], ...] = (
    ("left", "bottom"), ("left", "top"), ("right", "bottom"), ("right", "top"), ("center", "bottom"), ("center", "top"),
)  # fmt: skip


def sides(
    places: Sequence[tuple[float, float]], labels: Sequence[str], busy: Sequence[Box] = (), *, is_small: bool = False
) -> list[Json]:
    """The anchors and shifts of each label: the first side, from the left on, that covers the least."""
    scale = SMALL if is_small else 1.0
    taken: list[Box] = [*busy, *((x - GAP / 2, y - GAP, x + GAP / 2, y + GAP) for x, y in places)]
    chosen: dict[int, Json] = {}
    for at in sorted(range(len(places)), key=lambda place: places[place]):
        boxes = [_box(places[at], len(labels[at]) * CHARACTER * scale, HEIGHT, side) for side in SIDES]
        costs = [_cost(box, taken) for box in boxes]
        best = costs.index(min(costs))
        taken.append(boxes[best])
        chosen[at] = _anchored(*SIDES[best])
    return [chosen[at] for at in range(len(places))]


def written(x: float, y: float, text: str, *, is_small: bool = False) -> Box:
    """Where text stands that begins at a place."""
    return x, y, x + len(text) * CHARACTER * (SMALL if is_small else 1.0), y + HEIGHT


def _box(place: tuple[float, float], width: float, height: float, side: tuple[str, str]) -> Box:
    x, y = place
    left = {"left": x + GAP, "right": x - GAP - width, "center": x - width / 2}[side[0]]
    bottom = y + GAP if side[1] == "bottom" else y - GAP - height
    return left, bottom, left + width, bottom + height


def _cost(box: Box, taken: Sequence[Box]) -> float:
    """The area that is covered twice, and what lies beyond the plot."""
    beyond = max(0.0, -box[0]) + max(0.0, box[2] - 1) + max(0.0, -box[1]) + max(0.0, box[3] - 1)
    return sum(_overlap(box, other) for other in taken) + HEIGHT * beyond


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0


def _anchored(across: str, up: str) -> Json:
    shift = {"left": 6, "right": -6, "center": 0}[across]
    return {"xanchor": across, "yanchor": up, "xshift": shift, "yshift": 4 if up == "bottom" else -4}
