"""Media on their way from memory into the journal: encoded in the writer's thread, cut into requests, bounded."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from hone.journal import Journal
from hone.media import MOST_BYTES, MOST_ITEMS, Histogram, Image, Media, Waiting

MOST_IN_REQUEST = 64
REQUEST_BYTES = 16 << 20  # of pictures, before base64
logger = logging.getLogger("hone")


class Kept(NamedTuple):
    """An item as the journal has it: its picture is a file of the journal's."""

    item: dict[str, Any]
    size: int


class Keeper:
    """One run's. `refused` counts items that the server could only refuse: each series is warned of once."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._steps: dict[str, set[int]] = defaultdict(set)
        self._warned: set[str] = set()
        self.refused = 0

    def write(self, waiting: Waiting) -> None:
        """Lines `media {"items": [...]}` in the journal. Raises OSError when the disk takes no more."""
        kept = [self._kept(waiting, name, item) for name, item in waiting.items.items() if self._may(waiting, name)]
        for batch in _batches([one for one in kept if one is not None]):
            self._journal.append("media", json.dumps({"items": [one.item for one in batch]}))

    def _may(self, waiting: Waiting, name: str) -> bool:
        """Whether the series has room: the server would refuse the item, and all that is sent with it."""
        steps = self._steps[name]
        if waiting.step in steps or len(steps) < MOST_ITEMS:
            steps.add(waiting.step)
            return True
        self._refuse(name, f"{name!r} has {MOST_ITEMS:,} items, the most that a series has")
        return False

    def _kept(self, waiting: Waiting, name: str, item: Media) -> Kept | None:
        about = {"name": name, "step": waiting.step, "time": round(waiting.time, 6), "caption": item.caption}
        if isinstance(item, Histogram):
            return Kept({**about, "histogram": {"edges": item.edges, "counts": item.counts}}, item.size)
        assert isinstance(item, Image)
        data = item.encoded()
        if len(data) > MOST_BYTES:
            self._refuse(name, f"a picture of {name!r} has {len(data):,} bytes as PNG, more than {MOST_BYTES:,}")
            return None
        return Kept({**about, "file": self._journal.keep_bytes(data)}, len(data))

    def _refuse(self, name: str, why: str) -> None:
        self.refused += 1
        if name not in self._warned:
            logger.warning("Media are being dropped: %s.", why)
        self._warned.add(name)


def _batches(kept: list[Kept]) -> Iterator[list[Kept]]:
    batch: list[Kept] = []
    for one in kept:
        if batch and (len(batch) == MOST_IN_REQUEST or sum(other.size for other in batch) + one.size > REQUEST_BYTES):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch
