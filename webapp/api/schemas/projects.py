"""Projects, their members, and the data files people gave them."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from webapp.accounts.models import Membership, Project, Role, User
from webapp.api.schemas.common import Input, Output
from webapp.runs.models import Upload


class ProjectInput(Input):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Tiny language models"}]})

    name: str = Field(description="1 to 100 characters; the slug is made from it and never changes.")


class ProjectOutput(Output):
    slug: str = Field(examples=["tiny-language-models"])
    name: str = Field(examples=["Tiny language models"])
    role: Role = Field(description="Your role in it.")
    created_at: datetime

    @classmethod
    def of(cls, project: Project, role: Role) -> ProjectOutput:
        return cls(slug=project.slug, name=project.name, role=role, created_at=project.created_at)


class ProjectList(Output):
    items: list[ProjectOutput]
    next: str | None = None


class MemberInput(Input):
    model_config = ConfigDict(json_schema_extra={"examples": [{"username": "ada", "role": "editor"}]})

    username: str
    role: Role = Role.VIEWER


class RoleInput(Input):
    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "owner"}]})

    role: Role


class MemberOutput(Output):
    username: str = Field(examples=["ada"])
    role: Role

    @classmethod
    def of(cls, membership: Membership) -> MemberOutput:
        return cls(username=membership.user.username, role=Role(membership.role))


class MemberList(Output):
    items: list[MemberOutput]
    next: str | None = None


class UploadOutput(Output):
    """A spec names it as {"source": "upload", "upload": <id>}."""

    id: int
    project: str
    name: str = Field(examples=["reviews.csv"])
    size: int = Field(description="Bytes.")
    sha256: str
    created_by: str | None
    created_at: datetime

    @classmethod
    def of(cls, upload: Upload) -> UploadOutput:
        author: User | None = upload.created_by
        return cls(
            id=upload.pk, project=upload.project.slug, name=upload.name, size=upload.blob.size,
            sha256=upload.blob.sha256, created_by=author.username if author else None, created_at=upload.created_at,
        )  # fmt: skip


class UploadList(Output):
    items: list[UploadOutput]
    next: str | None = None
