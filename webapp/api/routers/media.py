"""Media of one run: what series there are, one item, and items from outside."""

from __future__ import annotations

import hashlib
from typing import Annotated

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from ninja import Header, Query, Router, Status
from pydantic import Field

from webapp.accounts.errors import below
from webapp.accounts.models import Role
from webapp.api.access import run_or_404
from webapp.api.auth import user_of
from webapp.api.errors import NotFound
from webapp.api.routers.metrics import KEY
from webapp.api.schemas.media import (
    HistogramOutput,
    MediaBatch,
    MediaFacts,
    MediaFactsList,
    MediaInput,
    MediaReply,
    MediaSeriesList,
    MediaSeriesOutput,
)
from webapp.api.streaming import in_pieces, streamed
from webapp.api.wire import dumps
from webapp.metrics.media import actions, items, queries, thumbnails
from webapp.metrics.media.images import CONTENT_TYPES
from webapp.metrics.media.items import NewItem
from webapp.metrics.models import MediaItem
from webapp.runs.blobs import open_blob

router = Router()
Step = Annotated[int, Field(ge=0, lt=2**63)]
SAFE_HEADERS = {  # whatever a picture's bytes may be besides, they are shown as a picture or not at all
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Disposition": "inline",
}
MAY_CHANGE = "private, no-cache"  # asked again, it is a 304: another picture may have come to the step
STAYS = "private, max-age=31536000, immutable"
THUMBNAIL = (
    f"A large picture made small: WebP of at most {thumbnails.SIDE} x {thumbnails.SIDE}. "
    "Small ones, those that move and those that can't be decoded come as they are."
)
ITEM = {
    "responses": {
        200: {
            "description": "The picture's bytes, or the histogram.",
            "content": {
                **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in CONTENT_TYPES.values()},
                "application/json": {"schema": HistogramOutput.model_json_schema()},
            },
        }
    }
}


@router.get("/{int:run_id}/media", response=MediaSeriesList)
def list_media(request: HttpRequest, run_id: int) -> MediaSeriesList:
    """The series of pictures and histograms that the run has logged, by name, with their steps."""
    run = run_or_404(user_of(request), run_id)
    found = queries.series_of(run.pk)
    return MediaSeriesList(
        items=[
            MediaSeriesOutput(name=some.name, kind=some.kind, count=len(some.steps), steps=some.steps) for some in found
        ]
    )


@router.post("/{int:run_id}/media", response={201: MediaReply})
def log_media(
    request: HttpRequest,
    run_id: int,
    body: MediaBatch,
    key: Annotated[str | None, Header(alias="Idempotency-Key", description=KEY)] = None,
) -> Status[MediaReply]:
    """Adds pictures and histograms to a run of kind external. All of them are stored, or none. For editors."""
    run = run_or_404(user_of(request), run_id, Role.EDITOR)
    new = [_new(place, item) for place, item in enumerate(body.items)]
    digest = hashlib.sha256(b"media\n" + request.body).digest()
    return Status(201, MediaReply(items=actions.log_media(run, new, key=key, digest=digest)))


@router.get("/{int:run_id}/media-items", response=MediaFactsList)
def list_media_items(
    request: HttpRequest, run_id: int, name: Annotated[str, Query(description="The series.")]
) -> MediaFactsList:
    """The items of one series in order of their steps: captions and sizes, without bytes and bins."""
    run = run_or_404(user_of(request), run_id)
    return MediaFactsList(items=[_facts(item) for item in queries.items_of(run.pk, name)])


@router.get("/{int:run_id}/media/{path:name}", response={200: None}, openapi_extra=ITEM)
def get_media(
    request: HttpRequest,
    run_id: int,
    name: str,
    step: Annotated[Step | None, Query(description="The last item at or before it; by default the very last.")] = None,
    sha256: Annotated[str, Query(description="Only if it is this picture; then it may be kept for good.")] = "",
    thumbnail: Annotated[bool, Query(description=THUMBNAIL)] = False,
) -> HttpResponseBase:
    """One item of a series: a picture as itself, a histogram as JSON."""
    run = run_or_404(user_of(request), run_id)
    item = queries.item_at(run.pk, name.replace("\x00", ""), step)
    if item is None or (sha256 and item.blob_id != sha256):
        until = "" if step is None else f" at or before step {step}"
        raise NotFound(f"Run {run.pk} has no media {name[:250]!r}{until}.")
    if item.blob is None:
        return _histogram(item)
    return _picture(request, item, STAYS if sha256 else MAY_CHANGE, thumbnails.of(item) if thumbnail else None)


def _new(place: int, item: MediaInput) -> NewItem:
    name, bars, step, time, caption = item.name, item.histogram, item.step, item.time, item.caption
    with below("items", place):
        if bars is not None:
            return items.histogram(name, bars.edges, bars.counts, step=step, time=time, caption=caption)
        return items.image(name, item.image or b"", step=step, time=time, caption=caption)


def _histogram(item: MediaItem) -> HttpResponse:
    edges, counts = queries.histogram_of(item)
    told = HistogramOutput(
        name=item.name,
        step=item.step,
        time=item.time,
        caption=item.caption,
        edges=edges.tolist(),
        counts=counts.tolist(),
    )
    return HttpResponse(dumps(told.model_dump()), content_type="application/json; charset=utf-8")


def _picture(request: HttpRequest, item: MediaItem, caching: str, small: bytes | None) -> HttpResponseBase:
    assert item.blob is not None
    etag = f'"{item.blob.sha256}"' if small is None else f'"{item.blob.sha256}-{thumbnails.SIDE}"'
    response: HttpResponseBase | None = get_conditional_response(request, etag=etag)
    if response is None and small is not None:
        response = HttpResponse(small, content_type=thumbnails.CONTENT_TYPE)
    elif response is None:
        response = streamed(request, in_pieces(open_blob(item.blob)), CONTENT_TYPES[item.format])
        response["Content-Length"] = str(item.blob.size)
    for name, value in {**SAFE_HEADERS, "Cache-Control": caching, "ETag": etag, "Hone-Step": str(item.step)}.items():
        response[name] = value
    return response


def _facts(item: MediaItem) -> MediaFacts:
    return MediaFacts(
        step=item.step, time=item.time, caption=item.caption, format=item.format or None, width=item.width,
        height=item.height, size=item.blob.size if item.blob else None, sha256=item.blob_id,
    )  # fmt: skip
