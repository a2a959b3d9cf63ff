"""Pictures and histograms for `run.log`: `run.log({"samples": hone.Image(a), "weights": hone.Histogram(w)}, step=3)`.

Both take a copy when they are made, so that what they were made of may change. numpy is needed only for arrays.
"""

from __future__ import annotations

import importlib.util
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hone.errors import HoneError

MOST_BYTES = 10 << 20  # of a picture as a file; the server's bounds
MOST_PIXEL_BYTES = 64 << 20
LONGEST_SIDE = 16_384
LONGEST_CAPTION = 1000
MOST_BINS = 512
MOST_ITEMS = 1000  # in a series
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"RIFF")
COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # PNG's, by channels


class Media:
    """What `run.log` takes besides numbers. `size` is in bytes of memory."""

    size: int

    def __init__(self, caption: str | None) -> None:
        self.caption = caption or ""
        if len(self.caption) > LONGEST_CAPTION:
            raise HoneError(f"A caption has at most {LONGEST_CAPTION:,} characters, not {len(self.caption):,}.")


class Image(Media):
    """A picture: a file's path, its bytes (PNG, JPEG, GIF or WebP), a PIL image, or an array of pixels.

    An array is (H, W), (H, W, 3) or (H, W, 4): uint8, bool, or floats from 0 to 1. Raises HoneError for what is none.
    """

    def __init__(self, data: Any, caption: str | None = None) -> None:
        super().__init__(caption)
        self._pixels: Pixels | None = None
        self._file = b""
        if isinstance(data, str | Path):
            self._file = _checked(_read(Path(data)))
        elif isinstance(data, bytes | bytearray | memoryview):
            self._file = _checked(bytes(data))
        else:
            self._pixels = _of_pil(data) if hasattr(data, "getbands") else _of_array(data)
        self.size = len(self._file) if self._pixels is None else len(self._pixels.data)

    def encoded(self) -> bytes:
        """The picture as a file; pixels become PNG, which takes a while."""
        return self._file if self._pixels is None else png(self._pixels)


class Histogram(Media):
    """Of values, in so many equal bins; or what `np.histogram` has given, `(counts, edges)`.

    Values that are not finite are left out, and the caption says how many. Raises HoneError where nothing is left.
    """

    def __init__(self, values: Any, bins: int = 64, caption: str | None = None) -> None:
        super().__init__(caption)
        if not 1 <= bins <= MOST_BINS:
            raise HoneError(f"A histogram has 1 to {MOST_BINS} bins, not {bins}.")
        counts, edges = values if _is_binned(values) else self._binned(_numbers(values), bins)
        self.counts = [float(count) for count in counts]
        self.edges = [float(edge) for edge in edges]
        if not 1 <= len(self.counts) <= MOST_BINS:
            raise HoneError(f"A histogram has 1 to {MOST_BINS} bins, not {len(self.counts)}.")
        self.size = 64 * len(self.edges)

    def _binned(self, values: Any, bins: int) -> tuple[Any, Any]:
        import numpy as np

        finite = values[np.isfinite(values)]
        if not len(finite):
            raise HoneError(f"A histogram needs a finite value; here there are {len(values)} values and none is.")
        if len(finite) < len(values) and not self.caption:
            self.caption = f"{len(values) - len(finite):,} of {len(values):,} values are not finite"
        while True:
            try:
                return np.histogram(finite, bins)
            except ValueError as error:  # the values lie closer than doubles can be cut
                if bins == 1:
                    raise HoneError(f"No histogram can be made of these values: {error}") from None
                bins //= 2


class Pixels(NamedTuple):
    """Rows from the top, 8 bits a channel."""

    width: int
    height: int
    channels: int
    data: bytes


def png(pixels: Pixels) -> bytes:
    """PNG (RFC 2083): eight bits, no filter, one piece of zlib's."""
    width, height, channels, data = pixels
    line = width * channels
    lines = b"".join(b"\x00" + data[at : at + line] for at in range(0, height * line, line))
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b""))
    return SIGNATURES[0] + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HoneError(f"The picture {path} can't be read: {error.strerror}.") from None


def _checked(data: bytes) -> bytes:
    if not data.startswith(SIGNATURES):
        raise HoneError(f"A picture must be PNG, JPEG, GIF or WebP; these {len(data):,} bytes begin with {data[:8]!r}.")
    if len(data) > MOST_BYTES:
        raise HoneError(f"A picture has at most {MOST_BYTES:,} bytes, not {len(data):,}.")
    return data


def _of_pil(picture: Any) -> Pixels:
    if picture.mode == "F" or picture.mode.startswith("I"):  # PIL would cut off what 8 bits can't hold
        raise HoneError(f"A picture must have 8 bits a channel; scale this one of mode {picture.mode!r} first.")
    grey, clear = picture.mode in ("1", "L"), "A" in picture.getbands() or "transparency" in picture.info
    plain = picture.convert("L" if grey and not clear else "RGBA" if clear else "RGB")
    width, height = plain.size
    return _fitting(Pixels(width, height, len(plain.getbands()), plain.tobytes()))


def _of_array(data: Any) -> Pixels:
    _require_numpy("hone.Image of an array")
    import numpy as np

    array = np.asarray(_on_cpu(data))
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in COLOUR_TYPES:
        raise HoneError(f"A picture must be an array (H, W), (H, W, 3) or (H, W, 4), not {np.shape(data)}.")
    height, width, channels = array.shape
    return _fitting(Pixels(width, height, channels, np.ascontiguousarray(_bytes_of(array)).tobytes()))


def _bytes_of(array: Any) -> Any:
    """uint8, (H, W, C)."""
    import numpy as np

    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if not np.issubdtype(array.dtype, np.floating):
        raise HoneError(f"A picture's pixels must be uint8, bool or floats from 0 to 1, not {array.dtype}.")
    if array.size and not (array.min() >= 0 and array.max() <= 1):  # NaN is neither
        raise HoneError(f"A picture's floats must be from 0 to 1, not from {array.min():g} to {array.max():g}.")
    return np.rint(array * 255).astype(np.uint8)


def _fitting(pixels: Pixels) -> Pixels:
    width, height, channels, data = pixels
    if not (1 <= width <= LONGEST_SIDE and 1 <= height <= LONGEST_SIDE and len(data) <= MOST_PIXEL_BYTES):
        rule = f"sides of 1 to {LONGEST_SIDE:,} and at most {MOST_PIXEL_BYTES >> 20} MiB of pixels"
        raise HoneError(f"A picture has {rule}, not {width:,} x {height:,} x {channels}.")
    return pixels


def _is_binned(values: Any) -> bool:
    """Whether it is (counts, edges): there is one edge more."""
    if not isinstance(values, tuple) or len(values) != 2:
        return False
    counts, edges = values
    return hasattr(counts, "__len__") and hasattr(edges, "__len__") and len(edges) == len(counts) + 1


def _numbers(values: Any) -> Any:
    """float64, (n,)."""
    _require_numpy("hone.Histogram of values")
    import numpy as np

    try:
        return np.asarray(_on_cpu(values)).astype(np.float64).ravel()
    except (TypeError, ValueError):
        raise HoneError(f"A histogram is of numbers, not of {type(values).__name__}.") from None


def _on_cpu(values: Any) -> Any:
    """A tensor of torch's as numpy can read it: bfloat16, which numpy lacks, as float32."""
    if not hasattr(values, "detach"):
        return values
    told = values.detach().cpu()
    return told.float() if "bfloat16" in str(told.dtype) else told


def _require_numpy(who: str) -> None:
    if importlib.util.find_spec("numpy") is None:
        raise HoneError(f"{who} needs numpy: pip install numpy.")


class Waiting(NamedTuple):
    """What one call of `run.log` has said besides numbers."""

    step: int
    time: float
    items: dict[str, Media]

    @property
    def size(self) -> int:
        return sum(item.size for item in self.items.values())


def total(waiting: Sequence[Waiting]) -> int:
    """Bytes of memory."""
    return sum(entry.size for entry in waiting)
