"""`manage.py create_user NAME`: a person who signs in by a login link until they set a password."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.accounts import actions
from webapp.accounts.errors import Invalid


class Command(BaseCommand):
    help = "Create a person; they sign in by `manage.py login_link NAME` and set a password on their account page."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--email", default="")
        parser.add_argument("--superuser", action="store_true", help="may do everything everywhere")

    def handle(self, *args: Any, username: str, email: str, superuser: bool, **options: Any) -> None:
        try:
            user = actions.create_user(username, email=email, is_superuser=superuser)
        except Invalid as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Created {user.username}.")
