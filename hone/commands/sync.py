"""`hone sync`: sends what runs have left on disk because the server was away, or because they were killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from hone import settings
from hone.commands.options import Arguments, Words, word
from hone.errors import HoneError
from hone.journal import Journal, left_in
from hone.printing import say, say_json

if TYPE_CHECKING:
    from hone.client import Client

DIED = "Its process ended without a word: it was killed, or its machine went down."


def add(groups: Words) -> None:
    parser = word(groups, "sync", sync, "send what runs have left on disk")
    parser.add_argument("--spool", type=Path, metavar="FOLDER", help="default: HONE_SPOOL, or $HONE_HOME/spool")


def sync(client: Client, arguments: Arguments) -> int:
    """The exit status is 1 while something is left."""
    results = [_sync_one(client, folder) for folder in left_in(arguments.spool or settings.spool())]
    if arguments.json:
        say_json([{"folder": folder, "run": run, "sent": sent, "detail": told} for folder, run, sent, told in results])
    elif not results:
        say("Nothing is left to send.")
    else:
        for folder, run, _, told in results:
            say(f"{f'run {run}' if run else folder}: {told}")
    return 0 if all(sent for _, _, sent, _ in results) else 1


def _sync_one(client: Client, folder: Path) -> tuple[str, int | None, bool, str]:
    """The folder, the run, whether it is wholly sent, and a sentence."""
    from hone.delivery import Delivery

    journal = Journal(folder)
    try:
        if not journal.hold():
            return str(folder), journal.facts["id"], True, "its process lives and sends by itself."
        if journal.facts["url"] != client.url:
            told = f"it belongs to {journal.facts['url']}: name that with --url, and HONE_TOKEN for it."
            return str(folder), journal.facts["id"], False, told
        delivery = Delivery(client, journal)
        if not delivery.deliver():
            journal.append("finish", json.dumps({"status": "failed", "result": None, "error_message": DIED}))
            delivery.deliver()
        journal.remove()
    except HoneError as error:
        return str(folder), journal.facts["id"], False, str(error)
    finally:
        journal.close()
    return str(folder), journal.facts["id"], True, "sent."
