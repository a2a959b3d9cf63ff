"""Pictures and histograms of a run: what is taken, what is refused, and what the last write at a step means."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction

from tests.metrics import pictures
from tests.metrics.runs import make_run
from webapp.charts import histograms
from webapp.metrics.errors import Invalid
from webapp.metrics.media import actions, catalogue, images, items, queries
from webapp.metrics.media.items import NewItem
from webapp.metrics.models import MediaItem
from webapp.runs import blobs
from webapp.runs.errors import WrongState
from webapp.runs.models import Run
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> None:
    settings.STORAGE_URL = f"file://{tmp_path / 'blobs'}"
    settings.STORAGES = {**settings.STORAGES}


def picture(name: str = "samples", step: int | None = None, grey: int = 128) -> NewItem:
    return items.image(name, pictures.png(2, 3, grey), step=step, time=float(step or 0), caption=f"grey {grey}")


def bars(step: int | None = None, counts: tuple[float, ...] = (1, 2), name: str = "weights") -> NewItem:
    return items.histogram(name, list(range(len(counts) + 1)), counts, step=step)


@pytest.mark.parametrize(
    ("make", "format_"),
    [
        (pictures.png, "png"), (pictures.gif, "gif"), (pictures.jpeg, "jpeg"), (pictures.webp_lossy, "webp"),
        (pictures.webp_lossless, "webp"), (pictures.webp_extended, "webp"),
        (lambda width, height: pictures.jpeg(width, height, 0xC2), "jpeg"),
    ],
    ids=["png", "gif", "jpeg", "webp lossy", "webp lossless", "webp extended", "jpeg progressive"],
)  # fmt: skip
def test_the_size_of_each_format_is_read_from_its_header(make: Callable[[int, int], bytes], format_: str) -> None:
    assert images.facts(make(37, 1021)) == (format_, 37, 1021)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "must be PNG, JPEG, GIF or WebP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "must be PNG, JPEG, GIF or WebP"),
        (b"<!doctype html><script>1</script>", "must be PNG, JPEG, GIF or WebP"),
        (b"\x89PNG\r\n\x1a\n", "header can't be read"),
        (b"\xff\xd8\xff", "header can't be read"),
        (b"\xff\xd8\xff\xe0\x00\x00" + b"\x00" * 9, "header can't be read"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "header can't be read"),
        (pictures.webp_lossless(3, 3)[:22], "header can't be read"),
        (pictures.gif(0, 5), "not 0 x 5"),
        (pictures.png_header(16_385, 1), "not 16,385 x 1"),
        (pictures.png_header(2**32 - 1, 2**32 - 1), "at most 67,108,864 pixels"),
        (pictures.png_header(16_000, 5_000), "not 16,000 x 5,000"),
        (pictures.png(1, 1) + b"\0" * (10 << 20), "at most 10,485,760 bytes"),
    ],
    ids=range(13),
)
def test_what_is_no_picture_or_too_large_a_one_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(Invalid) as caught:
        items.image("a", data)
    assert caught.value.errors[0]["loc"] == ["image"]
    assert says in caught.value.errors[0]["msg"]


@pytest.mark.parametrize("cut", range(30))
def test_a_header_that_breaks_off_anywhere_is_a_sentence_and_no_crash(cut: int) -> None:
    for make in (pictures.png, pictures.jpeg, pictures.gif, pictures.webp_lossy, pictures.webp_extended):
        try:
            images.facts(make(9, 9)[:cut])
        except ValueError as error:
            assert "PNG" in str(error) or "header" in str(error)


@pytest.mark.parametrize(
    ("edges", "counts", "field"),
    [
        ([0, 1], [], "counts"), ([0, 1], [1, 2], "edges"), ([1, 0], [1], "edges"), ([0, 0], [1], "edges"),
        ([0, float("inf")], [1], "edges"), ([0, 1], [-1], "counts"), ([0, 1], [float("nan")], "counts"),
        (list(range(514)), [1] * 513, "counts"),
    ],
    ids=range(8),
)  # fmt: skip
def test_a_histogram_that_is_none_is_refused(edges: list[float], counts: list[float], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        items.histogram("a", edges, counts)
    assert caught.value.errors[0]["loc"] == ["histogram", field]


def test_what_is_logged_is_there_with_its_bytes_and_facts(run: Run) -> None:
    assert actions.log_media(run, [picture(step=4), bars(7, (3, 0.5))]) == 2
    one, two = queries.item_at(run.pk, "samples"), queries.item_at(run.pk, "weights")
    assert one is not None and two is not None and one.blob is not None
    assert blobs.read(one.blob) == pictures.png(2, 3)
    assert (one.step, one.time, one.caption, one.format, one.width, one.height) == (4, 4.0, "grey 128", "png", 2, 3)
    edges, counts = queries.histogram_of(two)
    assert (edges.tolist(), counts.tolist(), two.blob) == ([0, 1, 2], [3, 0.5], None)
    assert queries.series_of(run.pk) == [("samples", "image", [4]), ("weights", "histogram", [7])]
    assert len(catalogue.names(run.pk)) == 2
    assert Run.objects.get(pk=run.pk).step == 7


def test_of_two_at_one_step_the_later_one_counts(run: Run) -> None:
    actions.log_media(run, [picture(step=4, grey=1), picture(step=4, grey=2)])
    actions.log_media(run, [picture(step=9, grey=3)])
    actions.log_media(run, [picture(step=4, grey=4)])
    assert [(item.step, item.caption) for item in queries.items_of(run.pk, "samples")] == [(4, "grey 4"), (9, "grey 3")]


def test_the_item_of_a_step_is_the_last_at_or_before_it(run: Run) -> None:
    actions.log_media(run, [bars(step) for step in (10, 20, 2**63 - 1)])
    found = [queries.item_at(run.pk, "weights", step) for step in (9, 10, 19, 20, 2**62, None)]
    assert [item and item.step for item in found] == [None, 10, 10, 20, 20, 2**63 - 1]


def test_steps_left_out_go_on_from_the_last(run: Run) -> None:
    actions.log_media(run, [bars(), bars(), bars(10), bars(), picture()])
    actions.log_media(run, [bars()])
    assert {some.name: some.steps for some in queries.series_of(run.pk)} == {
        "samples": [0], "weights": [0, 1, 10, 11, 12],
    }  # fmt: skip
    actions.log_media(run, [bars(2**63 - 1)])
    with pytest.raises(Invalid, match="last step"):
        actions.log_media(run, [bars()])


def test_a_series_is_of_one_kind(run: Run) -> None:
    actions.log_media(run, [picture("a")])
    with pytest.raises(Invalid) as caught:
        actions.log_media(run, [bars(name="b"), bars(name="a")])
    assert caught.value.errors[0]["loc"] == ["items", 1, "name"]
    assert "'a' is a series of kind image" in str(caught.value)
    assert queries.series_of(run.pk) == [("a", "image", [0])]


def test_a_full_series_takes_no_more_but_may_replace(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "MOST_ITEMS", 3)
    actions.log_media(run, [bars(), bars()])
    with pytest.raises(Invalid, match="3 items already") as caught:
        actions.log_media(run, [bars(5), bars(6)])
    assert caught.value.errors[0]["loc"] == ["items", 1, "name"]
    actions.log_media(run, [bars(5), bars(5)])
    actions.log_media(run, [bars(0, (9, 9))])
    assert queries.series_of(run.pk)[0].steps == [0, 1, 5]


def test_a_run_has_so_many_series_at_most(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "MOST_SERIES", 2)
    actions.log_media(run, [bars(name="a"), bars(name="b")])
    with pytest.raises(Invalid, match="'c' would be one series too many"):
        actions.log_media(run, [bars(name="a"), bars(name="c")])
    actions.log_media(run, [bars(name="a"), bars(name="b")])


def test_a_rewind_drops_what_came_after(run: Run) -> None:
    actions.log_media(run, [bars(step) for step in range(5)] + [picture(step=3)])
    actions.rewind(run.pk, 2)
    assert queries.series_of(run.pk) == [("weights", "histogram", [0, 1, 2])]


def test_items_go_with_their_run(run: Run) -> None:
    actions.log_media(run, [picture(), bars()])
    run.delete()
    assert not MediaItem.objects.exists()


def test_only_open_external_runs_take_media(run: Run) -> None:
    with pytest.raises(WrongState, match="pretrain"):
        actions.log_media(make_run(kind="pretrain"), [bars()])
    Run.objects.filter(pk=run.pk).update(status=Status.SUCCEEDED)
    with pytest.raises(WrongState, match="has ended"):
        actions.log_media(run, [bars()])


def test_a_request_with_a_key_counts_once_even_when_its_step_was_logged_anew_since(run: Run) -> None:
    assert actions.log_media(run, [picture(step=1, grey=1)], key="k", digest=b"1") == 1
    actions.log_media(run, [picture(step=1, grey=2)])
    assert actions.log_media(run, [picture(step=1, grey=1)], key="k", digest=b"1") == 1
    assert queries.items_of(run.pk, "samples")[0].caption == "grey 2"
    with pytest.raises(Invalid, match="another body"):
        actions.log_media(run, [picture(step=1, grey=1)], key="k", digest=b"2")


def test_histograms_over_time_keep_their_sums_over_common_bins(run: Run) -> None:
    actions.log_media(run, [items.histogram("w", [0, 1, 2], [4, 8], step=1)])
    actions.log_media(run, [items.histogram("w", [-2, 2], [8], step=5)])
    found = queries.spread(run.pk, "w", bins=4)
    assert (found.steps.tolist(), found.edges.tolist()) == ([1, 5], [-2, -1, 0, 1, 2])
    assert found.counts.T.tolist() == [[0, 0, 4, 8], [2, 2, 2, 2]]


def test_of_many_steps_over_time_some_are_shown_the_first_and_the_last_among_them(run: Run) -> None:
    actions.log_media(run, [bars(step) for step in range(50)])
    found = queries.spread(run.pk, "weights", bins=8, most=7)
    assert len(found.steps) == 7 and found.steps[0] == 0 and found.steps[-1] == 49
    np.testing.assert_allclose(found.counts.sum(axis=0), 3)
    assert queries.spread(run.pk, "nothing").counts.shape == (64, 0)


@pytest.mark.django_db(transaction=True)
def test_open_pages_are_told_of_new_items() -> None:
    import redis
    from django.conf import settings

    run = make_run()
    actions.log_media(run, [bars(3), bars(5), picture(step=1)])
    client = redis.Redis.from_url(settings.REDIS_URL, decode_responses=True)
    told = [json.loads(row["data"]) for _, row in client.xrange(f"hone:news:{run.pk}") if row["type"] == "media"]
    assert told == [{"weights": {"kind": "histogram", "step": [3, 5]}, "samples": {"kind": "image", "step": [1]}}]


@pytest.mark.django_db(transaction=True)
def test_senders_at_once_lose_nothing_and_never_pass_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "MOST_ITEMS", 50)
    run, refused = make_run(), []

    def send() -> None:
        try:
            for _ in range(20):
                try:
                    actions.log_media(run, [bars()])
                except Invalid as error:
                    refused.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queries.series_of(run.pk)[0].steps == list(range(50)) and len(refused) == 10


@pytest.mark.django_db(transaction=True)
def test_a_request_sent_twice_at_once_counts_once() -> None:
    run = make_run()

    def send() -> None:
        try:
            with transaction.atomic():
                actions.log_media(run, [bars()], key="k", digest=b"1")
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queries.series_of(run.pk)[0].steps == [0]


def test_numbers_whose_sums_no_double_holds_are_refused() -> None:
    for edges, counts, field in (([-1.7e308, 1.7e308], [1], "edges"), ([0, 1, 2], [1.7e308, 1.7e308], "counts")):
        with pytest.raises(Invalid) as caught:
            items.histogram("a", edges, counts)
        assert caught.value.errors[0]["loc"] == ["histogram", field]
    widest = items.histogram("a", [-1e300, 1e300], [1e300]).histogram
    assert widest is not None
    told = json.dumps(histograms.bars(widest), allow_nan=False)
    assert json.loads(told)["data"][0]["width"] == [2e300]
