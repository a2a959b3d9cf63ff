"""What may become an item of a media series, and the sentence for everything that may not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from webapp.metrics import external
from webapp.metrics.errors import Invalid
from webapp.metrics.media import images
from webapp.metrics.media.images import ImageFacts
from webapp.metrics.models import MediaItem
from webapp.metrics.points import Float64

LONGEST_CAPTION = 1000
MOST_BINS = 512
LARGEST = 1e300  # widths, sums and means of such numbers are still finite


class Histogram(NamedTuple):
    """edges float64 (bins + 1,), rising; counts float64 (bins,), none negative."""

    edges: Float64
    counts: Float64

    @classmethod
    def unpack(cls, edges: bytes, counts: bytes) -> Self:
        return cls(np.frombuffer(edges, "<f8"), np.frombuffer(counts, "<f8"))

    def pack(self) -> tuple[bytes, bytes]:
        return self.edges.astype("<f8").tobytes(), self.counts.astype("<f8").tobytes()


@dataclass(frozen=True, slots=True)
class NewItem:
    """`step` None: the one after the series' last; `time` None: now. It has an image or a histogram."""

    name: str
    step: int | None = None
    time: float | None = None
    caption: str = ""
    image: bytes | None = None
    facts: ImageFacts | None = None
    histogram: Histogram | None = None

    @property
    def kind(self) -> MediaItem.Kind:
        return MediaItem.Kind.HISTOGRAM if self.image is None else MediaItem.Kind.IMAGE


def image(name: str, data: bytes, *, step: int | None = None, time: float | None = None, caption: str = "") -> NewItem:
    """Raises Invalid."""
    _check(name, caption)
    try:
        found = images.facts(data)
    except ValueError as error:
        raise Invalid([{"loc": ["image"], "msg": str(error)}]) from None
    return NewItem(name, step, time, caption, data, found)


def histogram(
    name: str,
    edges: Sequence[float],
    counts: Sequence[float],
    *,
    step: int | None = None,
    time: float | None = None,
    caption: str = "",
) -> NewItem:
    """Raises Invalid."""
    _check(name, caption)
    some = Histogram(np.array(edges, np.float64), np.array(counts, np.float64))
    for field, message in _faults(some):
        raise Invalid([{"loc": ["histogram", field], "msg": message}])
    return NewItem(name, step, time, caption, histogram=some)


def _faults(some: Histogram) -> list[tuple[str, str]]:
    bins, edges = len(some.counts), len(some.edges)
    faults = []
    if not 1 <= bins <= MOST_BINS:
        faults.append(("counts", f"A histogram has 1 to {MOST_BINS} bins, not {bins}."))
    elif edges != bins + 1:
        faults.append(("edges", f"{bins} counts need {bins + 1} edges, one more than bins, not {edges}."))
    elif not np.isfinite(some.edges).all() or not (some.edges[1:] > some.edges[:-1]).all():
        faults.append(("edges", "Each edge must be a finite number above the one before it."))
    elif max(abs(some.edges[0]), abs(some.edges[-1])) > LARGEST:
        faults.append(("edges", f"Each edge must lie within +-{LARGEST:g}."))
    elif not np.isfinite(some.counts).all() or some.counts.min() < 0:
        faults.append(("counts", "Each count must be a finite number of at least 0."))
    elif some.counts.max() > LARGEST:
        faults.append(("counts", f"Each count must be at most {LARGEST:g}."))
    return faults


def _check(name: str, caption: str) -> None:
    try:
        external.check_name(name)
    except Invalid as error:
        raise Invalid([{"loc": ["name"], "msg": error.errors[0]["msg"]}]) from None
    if any(part in (".", "..") for part in name.split("/")):
        rule = "must not be . or .. between slashes: a browser takes them out of its address"
        raise Invalid([{"loc": ["name"], "msg": f"The name of a series of media {rule}. It is {name!r}."}])
    if len(caption) > LONGEST_CAPTION:
        message = f"A caption has at most {LONGEST_CAPTION:,} characters, not {len(caption):,}."
        raise Invalid([{"loc": ["caption"], "msg": message}])
