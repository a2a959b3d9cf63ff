"""`hone.Image` and `hone.Histogram` against the real application: what arrives is what was logged."""

from __future__ import annotations

import json
import logging
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hone
from hone import HoneError, keeping, writer
from hone.client import Client
from hone.delivery import Delivery
from hone.journal import Journal, Place
from hone.run import Run
from hone.settings import api_url, token
from tests.api.world import World
from tests.hone.conftest import Hone
from tests.metrics import pictures
from webapp.metrics import queries as metrics
from webapp.metrics.media import catalogue, images, items, queries
from webapp.metrics.media.actions import log_media
from webapp.metrics.models import MediaItem
from webapp.runs import blobs
from webapp.runs.models import Run as Stored

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Path:
    settings.STORAGE_URL = f"file://{tmp_path / 'blobs'}"
    settings.STORAGES = {**settings.STORAGES}
    monkeypatch.setenv("HONE_SPOOL", str(tmp_path / "spool"))
    return tmp_path / "spool"


@pytest.fixture(autouse=True)
def ready(environment: Callable[[str], None], spool: Path, live_world: World) -> Iterator[None]:
    environment("editor")
    yield
    from hone import ending

    for run in list(ending._living):
        run.finish(timeout_s=5)


def item(run: Run, name: str, step: int | None = None) -> MediaItem:
    assert run.id is not None
    found = queries.item_at(run.id, name, step)
    assert found is not None
    return found


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    """PNG with the filter 0, as its specification has it: (H, W, C)."""
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    (length,) = struct.unpack_from(">I", data, 33)
    assert (data[37:41], depth) == (b"IDAT", 8)
    channels = {0: 1, 2: 3, 6: 4}[colour]
    lines = np.frombuffer(zlib.decompress(data[41 : 41 + length]), np.uint8).reshape(height, 1 + width * channels)
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(height, width, channels)


def picture_of(run: Run, name: str, step: int | None = None) -> bytes:
    blob = item(run, name, step).blob
    assert blob is not None
    return blobs.read(blob)


def test_pictures_histograms_and_numbers_arrive_together(spool: Path, tmp_path: Path) -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    (tmp_path / "a.gif").write_bytes(pictures.gif(5, 6))
    with hone.init("alpha") as run:
        pictured = hone.Image(grey, caption="a ramp")
        run.log({"samples": pictured, "w": hone.Histogram([0.0, 1.0, 1.0, 4.0], bins=4), "loss": 0.5}, step=3)
        grey[:] = 0
        run.log({"file": hone.Image(tmp_path / "a.gif"), "bytes": hone.Image(pictures.png(2, 2))})
        run.log({"w": hone.Histogram((np.array([2, 3]), np.array([0, 1, 10])))})
    assert pixels(picture_of(run, "samples"))[:, :, 0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert (item(run, "samples").step, item(run, "samples").caption) == (3, "a ramp")
    assert abs(item(run, "samples").time - time.time()) < 60
    first, last = queries.histogram_of(item(run, "w", 3)), queries.histogram_of(item(run, "w"))
    assert (first.counts.tolist(), first.edges.tolist()) == ([1, 2, 0, 1], [0, 1, 2, 3, 4])
    assert (last.counts.tolist(), last.edges.tolist(), item(run, "w").step) == ([2, 3], [0, 1, 10], 5)
    assert (item(run, "file").format, item(run, "file").step) == ("gif", 4)
    assert picture_of(run, "bytes") == pictures.png(2, 2)
    assert run.id is not None and metrics.raw(run.id, "loss").steps.tolist() == [3]
    assert not list(spool.glob("*"))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[0.0, 0.5], [1.0, 0.25]]), [[[0], [128], [255], [64]]]),
        (np.array([[True, False]]), [[[255], [0]]]),
        (np.full((2, 1, 3), [1, 2, 3], np.uint8), [[[1, 2, 3]] * 2]),
        (np.full((1, 2, 4), [9, 8, 7, 6], np.uint8)[:, ::-1], [[[9, 8, 7, 6]] * 2]),
        (np.full((2, 2, 1), 7, np.uint8), [[[7]] * 4]),
        (np.zeros((1, 1), np.float16), [[[0]]]),
    ],
    ids=["floats", "bools", "colours", "with alpha, not contiguous", "one channel", "half precision"],
)
def test_an_array_becomes_the_same_pixels_as_png(array: Any, expected: Any) -> None:
    data = hone.Image(array).encoded()
    assert images.facts(data) == ("png", array.shape[1], array.shape[0])
    assert [pixels(data).reshape(-1, pixels(data).shape[2]).tolist()] == expected


def test_a_tensor_is_an_array() -> None:
    import torch

    picture = hone.Image(torch.ones(2, 2, 3, requires_grad=True))
    assert (pixels(picture.encoded()) == 255).all()
    assert hone.Histogram(torch.ones(10, dtype=torch.bfloat16), bins=2).counts == [0, 10]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: hone.Image(np.zeros(4)), r"not \(4,\)"),
        (lambda: hone.Image(np.zeros((2, 2, 2))), r"not \(2, 2, 2\)"),
        (lambda: hone.Image(np.zeros((2, 2), np.int64)), "not int64"),
        (lambda: hone.Image(np.array([[0, 1.5]])), "from 0 to 1.5"),
        (lambda: hone.Image(np.array([[0, np.nan]])), "from nan to nan"),
        (lambda: hone.Image(np.zeros((0, 4))), "not 4 x 0"),
        (lambda: hone.Image(np.zeros((1, 16_385), np.uint8)), "not 16,385 x 1"),
        (lambda: hone.Image(b"<svg/>"), "PNG, JPEG, GIF or WebP"),
        (lambda: hone.Image("nowhere.png"), "can't be read"),
        (lambda: hone.Image(np.zeros((2, 2)), "x" * 1001), "at most 1,000 characters"),
        (lambda: hone.Histogram([]), "needs a finite value"),
        (lambda: hone.Histogram([np.nan]), "needs a finite value"),
        (lambda: hone.Histogram(["a"]), "is of numbers"),
        (lambda: hone.Histogram([1.0], bins=0), "1 to 512 bins, not 0"),
        (lambda: hone.Histogram((np.ones(513), np.arange(514))), "1 to 512 bins, not 513"),
    ],
    ids=range(15),
)
def test_what_is_none_is_refused_where_it_is_made(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(HoneError, match=says):
        make()


def test_values_that_are_not_finite_are_left_out_and_counted() -> None:
    some = hone.Histogram([1.0, 2.0, np.nan, np.inf], bins=2)
    assert (some.counts, some.caption) == ([1, 1], "2 of 4 values are not finite")


def test_values_closer_than_doubles_can_be_cut_get_fewer_bins(spool: Path) -> None:
    with hone.init("alpha") as run:
        run.log({"w": hone.Histogram([1e16, 1e16 + 4]), "same": hone.Histogram([3.0] * 5)})
    assert queries.histogram_of(item(run, "w")).counts.sum() == 2
    assert queries.histogram_of(item(run, "same")).counts.sum() == 5


def test_what_a_call_refuses_keeps_nothing_of_it() -> None:
    run = hone.init("alpha")
    with pytest.raises(HoneError, match="'bad' must be one number"):
        run.log({"w": hone.Histogram([1.0]), "bad": "x"})
    assert run.flush() and run.id is not None and queries.series_of(run.id) == []


def test_media_of_a_killed_program_are_sent_by_sync(hone: Hone, spool: Path, tmp_path: Path) -> None:
    """The server is away while it logs, and the program is killed: all is on disk, and arrives once."""
    code = f"""
import numpy, os, hone
run = hone.init("alpha", url="http://127.0.0.1:9")
for step in range(70):
    run.log({{"samples": hone.Image(numpy.full((8, 8), step, numpy.uint8)), "w": hone.Histogram([step, step + 1.0])}})
while run._writer.media or run._writer._is_writing: pass
open({str(tmp_path / "ready")!r}, "w").close()
os.kill(os.getpid(), {int(signal.SIGKILL)})
"""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60)
    assert done.returncode == -signal.SIGKILL and (tmp_path / "ready").exists()
    [folder] = spool.glob("*")
    facts = (folder / "run.json").read_text().replace("http://127.0.0.1:9", os.environ["HONE_URL"])
    (folder / "run.json").write_text(facts)
    said = hone("sync")
    assert said.status == 0, said
    run = Stored.objects.get(kind="external")
    assert [(some.name, some.steps) for some in queries.series_of(run.pk)] == [
        ("samples", list(range(70))), ("w", list(range(70))),
    ]  # fmt: skip
    assert not list(spool.glob("*"))


def test_a_line_that_is_sent_twice_counts_once(spool: Path) -> None:
    """The program was killed once the server had it, before its pictures were deleted or before its place was noted."""
    body = {"project": "alpha", "spec": {"kind": "external"}, "name": "", "tags": [], "baseline": None}
    client = Client(api_url(), token())
    delivery = Delivery(client, Journal.create(spool, {"url": client.url, "body": body, "id": None}))
    journal = delivery.journal
    name = journal.keep_bytes(pictures.png(2, 2))
    about = {"name": "a", "step": 1, "caption": "old"}
    journal.append("media", json.dumps({"items": [{**about, "file": name}]}))
    delivery.deliver()
    run = Stored.objects.get(pk=delivery.create())
    log_media(run, [items.image("a", pictures.png(3, 3), step=1, caption="new")])
    for is_picture_left in (True, False):
        if is_picture_left:
            (journal.folder / name).write_bytes(pictures.png(2, 2))
        journal.place = Place(0, 0)
        delivery.deliver()
        assert [found.caption for found in queries.items_of(run.pk, "a")] == ["new"]
    assert not list((journal.folder / "files").iterdir())


def test_memory_is_bounded_while_the_disk_does_not_keep_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = hone.init("alpha")
    monkeypatch.setattr(writer, "MOST_MEDIA_BYTES", 3000)
    held, go_on = run._writer._keeper.write, []

    def slow(waiting: Any) -> None:
        while not go_on:
            time.sleep(0.001)
        held(waiting)

    run._writer._keeper.write = slow  # type: ignore[method-assign]
    image = hone.Image(np.zeros((10, 100), np.uint8))
    began = time.monotonic()
    for step in range(20):
        run.log({"samples": image}, step)
    assert time.monotonic() - began < 1.0, "it waits once, then drops"
    assert len(run._writer.media) <= 3 and 16 <= run.dropped <= 17
    go_on.append(True)
    assert run.flush() and run.id is not None
    assert len(queries.series_of(run.id)[0].steps) == 20 - run.dropped
    assert sum("being dropped" in record.message for record in caplog.records) == 1


def test_a_series_that_is_full_is_told_of_once_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeping, "MOST_ITEMS", 3)
    with caplog.at_level(logging.WARNING), hone.init("alpha") as run:
        for step in range(6):
            run.log(
                {"a": hone.Histogram([1.0]), "b": hone.Histogram([1.0])} if step < 2 else {"a": hone.Histogram([1.0])}
            )
        run.log({"a": hone.Histogram([9.0, 9.0])}, step=1)
    assert run.id is not None
    assert [some.steps for some in queries.series_of(run.id)] == [[0, 1, 2], [0, 1]]
    assert queries.histogram_of(item(run, "a", 1)).counts.sum() == 2
    assert run.dropped == 3
    assert sum("'a' has 3 items" in record.message for record in caplog.records) == 1


def test_requests_hold_no_more_than_the_server_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "REQUEST_BYTES", 1000)
    noise = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8)
    with hone.init("alpha") as run:
        run.log({f"p/{place}": hone.Image(noise + place) for place in range(7)})
        run.log({f"h/{place:03}": hone.Histogram([1.0]) for place in range(150)})
    assert run.id is not None and len(catalogue.names(run.id)) == 157


def test_a_picture_of_pil_is_taken_if_there_is_pil() -> None:
    image = pytest.importorskip("PIL.Image")
    picture = hone.Image(image.new("RGB", (3, 2), (1, 2, 3)))
    assert pixels(picture.encoded()).tolist() == [[[1, 2, 3]] * 3] * 2
