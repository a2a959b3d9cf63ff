"""`manage.py create_admin`: makes the first administrator when there is none."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from webapp.accounts import actions as accounts


class Command(BaseCommand):
    help = "Makes the user `admin` when it is missing; sign in with a link from `manage.py login_link`."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"The administrator is {accounts.ensure_admin().username}.")
