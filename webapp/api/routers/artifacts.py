"""What a run leaves behind: files one by one, or a folder as a tar archive."""

from __future__ import annotations

from django.http import HttpRequest, StreamingHttpResponse
from django.urls import reverse
from ninja import Router, Status

from webapp.accounts.models import Role
from webapp.api.access import run_or_404
from webapp.api.auth import user_of
from webapp.api.errors import NotFound
from webapp.api.openapi import file_reply
from webapp.api.schemas.runs import ArtifactList, ArtifactOutput
from webapp.api.streaming import attachment, body_pieces, in_pieces, refuse_announced_size, tar
from webapp.runs import actions
from webapp.runs.blobs import open_blob
from webapp.runs.models import Artifact, Run

router = Router()
BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
FILE = file_reply("The file, or a folder as an archive.", "application/octet-stream", "application/x-tar")


@router.get("/{int:run_id}/artifacts", response=ArtifactList)
def list_artifacts(request: HttpRequest, run_id: int) -> ArtifactList:
    """Every file with its size and SHA-256, by path."""
    run = run_or_404(user_of(request), run_id)
    artifacts = run.artifacts.select_related("blob").order_by("path")
    return ArtifactList(items=[_output(request, artifact) for artifact in artifacts])


@router.get("/{int:run_id}/artifacts/{path:path}", response={200: None}, openapi_extra=FILE)
def download_artifact(request: HttpRequest, run_id: int, path: str) -> StreamingHttpResponse:
    """The file; of a folder (`model`, `checkpoints/step-400`) a tar archive with everything below it."""
    run = run_or_404(user_of(request), run_id)
    artifact = run.artifacts.select_related("blob").filter(path=path).first()
    if artifact is None:
        return _folder(request, run, path.rstrip("/"))
    pieces = in_pieces(open_blob(artifact.blob))
    return attachment(request, pieces, path.rsplit("/", 1)[-1], size=artifact.blob.size)


@router.put("/{int:run_id}/artifacts/{path:path}", response={201: ArtifactOutput}, openapi_extra=BODY)
def upload_artifact(request: HttpRequest, run_id: int, path: str) -> Status[ArtifactOutput]:
    """Keeps the body as a file of a run of kind external, in the place of the one at that path. For editors."""
    run = run_or_404(user_of(request), run_id, Role.EDITOR)
    refuse_announced_size(request)
    artifact = actions.add_file(run, path, body_pieces(request))
    return Status(201, _output(request, artifact))


def _folder(request: HttpRequest, run: Run, folder: str) -> StreamingHttpResponse:
    inside = list(run.artifacts.select_related("blob").filter(path__startswith=f"{folder}/").order_by("path"))
    if not inside:
        raise NotFound(f"Run {run.pk} has no artifact {folder!r}.")
    files = (
        (item.path, item.blob.size, item.created_at.timestamp(), in_pieces(open_blob(item.blob))) for item in inside
    )
    name = f"run-{run.pk}-{folder.replace('/', '-')}.tar"
    return attachment(request, tar(files), name, content_type="application/x-tar")


def _output(request: HttpRequest, artifact: Artifact) -> ArtifactOutput:
    address = reverse("api:download_artifact", kwargs={"run_id": artifact.run_id, "path": artifact.path})
    return ArtifactOutput(
        path=artifact.path, folder=artifact.folder, type=Artifact.Type(artifact.type), step=artifact.step,
        size=artifact.blob.size, sha256=artifact.blob.sha256, created_at=artifact.created_at,
        url=request.build_absolute_uri(address),
    )  # fmt: skip
