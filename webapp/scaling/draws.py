"""The draws of a fit, out of its artifact `fit.json`: numbers only, bounded in bytes and in number."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from webapp.metrics.points import Float64
from webapp.runs import blobs
from webapp.runs.errors import BlobCorrupt, BlobMissing, TooLarge
from webapp.runs.models import Blob, Run

FILE = "fit.json"
LARGEST_BYTES = 64 << 20
MOST = 1000  # of more draws, so many are kept, evenly thinned
KEPT_FILES = 64


class Draws(NamedTuple):
    """By name, (draws,) each; NaN where a resample has no fit. `notice` says why there are none."""

    values: Mapping[str, Float64]
    notice: str = ""


def drawn(run: Run) -> Draws:
    """Empty where the fit was made without a bootstrap, or its file can't be read."""
    sha256 = run.artifacts.filter(path=FILE).values_list("blob_id", flat=True).first()
    if sha256 is None:
        return Draws({}, f"The run has no {FILE}, so there are no bands.")
    try:
        return _read(sha256)
    except TooLarge:
        return Draws({}, f"{FILE} is larger than {LARGEST_BYTES >> 20} MiB, so there are no bands.")
    except (BlobMissing, BlobCorrupt, ValueError) as error:
        return Draws({}, f"{FILE} can't be read, so there are no bands: {error}")


@functools.lru_cache(KEPT_FILES)
def _read(sha256: str) -> Draws:
    """Raises BlobMissing, BlobCorrupt, TooLarge, and ValueError where it does not hold draws."""
    document = json.loads(blobs.read(Blob.objects.get(pk=sha256), LARGEST_BYTES))
    found = document.get("draws") if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise ValueError("it has no draws")
    values = {str(name): thinned(column) for name, column in found.items()}
    if len({len(column) for column in values.values()}) > 1:
        raise ValueError("its draws are not of one length")
    return Draws(values)


def thinned(column: object) -> Float64:
    """At most `MOST` of them. Raises ValueError for anything but a list of numbers and nulls."""
    if not isinstance(column, list) or not all(each is None or type(each) in (int, float) for each in column):
        raise ValueError("a draw is no number")
    places = np.linspace(0, len(column) - 1, min(len(column), MOST)).round().astype(int)
    values = np.array([np.nan if column[place] is None else column[place] for place in places], np.float64)
    values.setflags(write=False)  # every reader gets the same arrays
    return values
