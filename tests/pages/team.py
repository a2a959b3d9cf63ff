"""A project with one person of each role, signed in on demand."""

from __future__ import annotations

from dataclasses import dataclass

from django.test import Client

from webapp.accounts import actions
from webapp.accounts.models import Project, User

PASSWORD = "correct horse battery"
ROLES = ("anonymous", "stranger", "viewer", "editor", "owner", "admin")


@dataclass(frozen=True)
class Team:
    project: Project
    people: dict[str, User]

    def client(self, role: str) -> Client:
        """A browser in which the person of this role is signed in; "anonymous" is nobody."""
        client = Client()
        if role != "anonymous":
            client.force_login(self.people[role], backend="django.contrib.auth.backends.ModelBackend")
        return client


def make_team() -> Team:
    people = {role: actions.create_user(role) for role in ROLES[1:-1]}
    people["admin"] = actions.create_user("admin", is_superuser=True)
    project = actions.create_project(people["owner"], "Code models")
    actions.set_member(project, people["editor"], "editor")
    actions.set_member(project, people["viewer"], "viewer")
    return Team(project, people)
