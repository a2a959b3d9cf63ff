"""`manage.py login_link [user]`: a one-time address that signs a person in."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from webapp.accounts import actions
from webapp.accounts.models import User


class Command(BaseCommand):
    help = "Print an address that signs a person in once within 15 minutes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", nargs="?", default=actions.ADMIN)
        parser.add_argument("--base", default=f"http://localhost:{settings.PORT}", help="where the site is reached")

    def handle(self, *args: Any, username: str, base: str, **options: Any) -> None:
        user = User.objects.filter(username=username, is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user {username!r}; create one with `manage.py create_user`.")
        self.stdout.write(base.rstrip("/") + reverse("login-link", args=[actions.create_login_link(user)]))
