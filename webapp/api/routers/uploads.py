"""Data files that people give to a project, streamed to the storage and limited in size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest
from ninja import Router, Status

from webapp.accounts.models import Project, Role
from webapp.api.access import LARGEST_ID, project_or_404
from webapp.api.auth import user_of
from webapp.api.errors import Invalid, NotFound
from webapp.api.schemas.projects import UploadList, UploadOutput
from webapp.api.streaming import PIECE_BYTES, body_pieces, refuse_announced_size
from webapp.runs import actions
from webapp.runs.models import Upload

router = Router()
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.get("/{slug}/uploads", response=UploadList)
def list_uploads(request: HttpRequest, slug: str) -> UploadList:
    """Newest first."""
    project = project_or_404(user_of(request), slug)
    uploads = project.uploads.select_related("project", "blob", "created_by").order_by("-id")
    return UploadList(items=[UploadOutput.of(upload) for upload in uploads])


@router.post("/{slug}/uploads", response={201: UploadOutput}, openapi_extra=BODY)
def upload_file(request: HttpRequest, slug: str, name: str = "") -> Status[UploadOutput]:
    """A form with a file in the field `file`, or the bytes themselves with `?name=`. For editors."""
    user = user_of(request)
    project = project_or_404(user, slug, Role.EDITOR)
    refuse_announced_size(request)
    file_name, pieces = _form_file(request) if _is_form(request) else (name, body_pieces(request))
    if not (name or file_name):
        raise Invalid([{"loc": ["name"], "msg": "Name the file with ?name=, for example ?name=reviews.csv."}])
    upload = actions.add_upload(project=project, user=user, name=name or file_name, chunks=pieces)
    return Status(201, UploadOutput.of(_upload(project, upload.pk)))


@router.delete("/{slug}/uploads/{int:upload_id}", response={204: None})
def delete_upload(request: HttpRequest, slug: str, upload_id: int) -> Status[None]:
    """Refused while a run that is not over needs it. For editors."""
    project = project_or_404(user_of(request), slug, Role.EDITOR)
    actions.delete_upload(_upload(project, upload_id))
    return Status(204, None)


def _upload(project: Project, upload_id: int) -> Upload:
    uploads = project.uploads.select_related("project", "blob", "created_by")
    upload = uploads.filter(pk=upload_id).first() if upload_id <= LARGEST_ID else None
    if upload is None:
        raise NotFound(f"{project.slug} has no upload {upload_id}.")
    return upload


def _is_form(request: HttpRequest) -> bool:
    return request.content_type == "multipart/form-data"


def _form_file(request: HttpRequest) -> tuple[str, Iterator[bytes]]:
    file = request.FILES.get("file")
    if file is None:
        raise Invalid([{"loc": ["file"], "msg": "The form must have a file in its field `file`."}])
    return file.name or "", file.chunks(PIECE_BYTES)
