"""Small pictures in the place of large ones: what they show, and of what there are none."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.metrics import pictures
from tests.metrics.runs import make_run
from webapp.metrics.media import actions, items, queries, thumbnails
from webapp.metrics.models import MediaItem
from webapp.runs import blobs
from webapp.runs.models import Blob

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> None:
    settings.STORAGE_URL = f"file://{tmp_path / 'blobs'}"
    settings.STORAGES = {**settings.STORAGES}
    settings.HONE_HOME = tmp_path


def halves(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Red on the left and blue on the right, under noise that no codec packs well."""
    noise = np.random.default_rng(0).integers(0, 40, (height, width, 3))
    pixels = np.zeros((height, width, 3), np.uint8) + noise.astype(np.uint8)
    pixels[:, : width // 2, 0] += 200
    pixels[:, width // 2 :, 2] += 200
    return Image.fromarray(pixels).convert(mode)


def encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    out = BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def item_of(data: bytes) -> MediaItem:
    run = make_run()
    actions.write(run, [items.image("a", data, step=0)], [blobs.store_stream([data])])
    item = queries.item_at(run.pk, "a")
    assert item is not None
    return item


def shown(made: bytes | None) -> Any:
    """Pixels (height, width, channels) of a thumbnail."""
    assert made is not None and made.startswith(b"RIFF") and b"WEBP" in made[:16]
    return np.asarray(Image.open(BytesIO(made))).astype(int)


@pytest.mark.parametrize(
    ("form", "options"), [("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {})]
)
def test_a_large_picture_becomes_a_small_one_of_the_same_shape(form: str, options: dict[str, Any]) -> None:
    data = encoded(halves(1400, 700), form, **options)
    made = thumbnails.of(item_of(data))
    pixels = shown(made)
    assert pixels.shape == (256, 512, 3) and len(made or b"") < len(data) / 4
    red, blue = pixels[20:-20, 20:236].mean(axis=(0, 1)), pixels[20:-20, 276:-20].mean(axis=(0, 1))
    assert np.abs(red - [220, 20, 20]).max() < 12 and np.abs(blue - [20, 20, 220]).max() < 12


def test_it_is_turned_as_browsers_turn_the_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the stored left side is on top
    pixels = shown(thumbnails.of(item_of(encoded(halves(1400, 700), "JPEG", exif=exif))))
    assert pixels.shape == (512, 256, 3)
    assert pixels[:200, :, 0].mean() > 200 > 40 > pixels[-200:, :, 0].mean()


def test_what_shines_through_still_does() -> None:
    picture = halves(1200, 600, "RGBA")
    picture.putalpha(Image.new("L", picture.size, 0))
    picture.paste(halves(300, 600, "RGBA"), (0, 0))
    pixels = shown(thumbnails.of(item_of(encoded(picture, "PNG"))))
    assert pixels.shape == (256, 512, 4)
    assert pixels[:, :100, 3].min() > 240 and pixels[:, 200:, 3].max() < 15


def moving() -> bytes:
    frames = [halves(800, 600), halves(800, 600).transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def broken() -> bytes:
    data = bytearray(encoded(halves(1400, 700), "PNG"))
    data[200:400] = bytes(200)
    return bytes(data)


def bomb() -> bytes:
    """20 million pixels in few bytes, made large enough to be asked for one."""
    return pictures.png(5000, 4000) + bytes(thumbnails.LEAST_BYTES)


def deep() -> bytes:
    depths = np.random.default_rng(0).integers(0, 65535, (600, 600)).astype(np.uint16)
    return encoded(Image.fromarray(depths), "PNG")


def little() -> bytes:
    return encoded(halves(512, 300), "PNG")


def plain() -> bytes:
    return encoded(Image.new("RGB", (2000, 2000)), "PNG")


@pytest.mark.parametrize("make", [moving, broken, bomb, deep, little, plain])
def test_of_some_pictures_there_is_none(make: Callable[[], bytes]) -> None:
    item = item_of(make())
    assert thumbnails.of(item) is None
    assert thumbnails.of(item) is None


def test_a_picture_is_decoded_once_even_when_it_can_not_be() -> None:
    some = [item_of(broken()), item_of(encoded(halves(1400, 700), "PNG"))]
    first = [thumbnails.of(item) for item in some]
    Path(thumbnails.settings.HONE_HOME, "blobs").rename(Path(thumbnails.settings.HONE_HOME, "away"))
    assert [thumbnails.of(item) for item in some] == first


def test_those_of_pictures_that_are_gone_are_dropped() -> None:
    kept, gone = (item_of(encoded(halves(1400, height), "PNG")) for height in (600, 700))
    made = [thumbnails.of(item) for item in (kept, gone)]
    assert None not in made and thumbnails.drop_unused() == 0
    gone.delete()
    Blob.objects.filter(pk=gone.blob_id).delete()
    assert thumbnails.drop_unused() == 1
    [left] = Path(thumbnails.settings.HONE_HOME, "thumbnails").glob("*/*")
    assert left.stem == kept.blob_id
