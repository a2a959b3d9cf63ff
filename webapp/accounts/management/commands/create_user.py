"""`manage.py create_user NAME`: a person, and the one-time address that signs them in until they set a password."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.accounts import actions
from webapp.accounts.errors import Invalid


class Command(BaseCommand):
    help = "Create a person and print their login link; they set a password on their account page."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--email", default="")
        parser.add_argument("--superuser", action="store_true", help="may do everything everywhere")

    def handle(self, *args: Any, username: str, email: str, superuser: bool, **options: Any) -> None:
        try:
            user = actions.create_user(username, email=email, is_superuser=superuser)
        except Invalid as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Created {user.username}. They sign in once, within 15 minutes, with:")
        call_command("login_link", user.username, stdout=self.stdout)
