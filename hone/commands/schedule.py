"""`hone schedule`: create, list, show and control schedules."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from hone.commands.options import Arguments, Words, group, limited, numbered, positive, word
from hone.errors import HoneError
from hone.printing import facts, moment, say, say_json, table
from hone.reading import document

if TYPE_CHECKING:
    from hone.client import Client

OPTIONS = ("project", "name", "cron", "interval_s", "at", "timezone", "missed")


def add(groups: Words) -> None:
    words = group(groups, "schedule", "schedules: runs and sweeps at set times")
    _add_create(words)
    parser = word(words, "list", list_schedules, "list schedules, newest first")
    parser.add_argument("--project")
    limited(parser)
    numbered(word(words, "show", show, "show a schedule and what became of its last times"))
    numbered(word(words, "run", run, "begin it now; its times stay as they are"))
    numbered(word(words, "enable", partial(switch, True), "let it go on, from now"))
    numbered(word(words, "disable", partial(switch, False), "let no more of its times begin anything"))
    numbered(word(words, "delete", delete, "delete a schedule; what it has begun stays"))


def _add_create(words: Words) -> None:
    parser = word(words, "create", create, "queue a run or a sweep at set times")
    about = "a body of POST /schedules, only its action, or a file that `sweep create` or `runs submit` takes"
    parser.add_argument("file", help=about)
    parser.add_argument("--project", help="its slug")
    parser.add_argument("--name")
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--cron", metavar="'M H DOM MON DOW'", help="like '0 2 * * *'")
    when.add_argument("--every", type=positive, dest="interval_s", metavar="SECONDS")
    when.add_argument("--at", metavar="TIME", help="once, like 2026-12-01T08:00:00+01:00")
    parser.add_argument("--timezone", help="like Europe/Berlin (default: UTC)")
    parser.add_argument("--missed", choices=["skip", "once"], help="what becomes of times when Hone was not there")
    parser.add_argument(
        "--overlap", action="store_true", default=None, help="begin although the one before is not over"
    )


def create(client: Client, arguments: Arguments) -> None:
    body = _body(document(arguments.file))
    body |= {name: value for name in (*OPTIONS, "overlap") if (value := getattr(arguments, name)) is not None}
    for name in ("project", "name"):
        if name not in body:
            raise HoneError(f"Give the {name} with --{name}, or in the file.")
    _show(client.post("/schedules", body), arguments)


def _body(read: dict[str, Any]) -> dict[str, Any]:
    """A file may be the schedule, its action, or what `hone sweep create` and `hone runs submit` take."""
    if "action" in read:
        return read
    if "run" in read or "sweep" in read:
        return {"action": read}
    place: dict[str, Any] = {name: read[name] for name in ("project", "name") if name in read}
    if "spec" not in read:
        return {"action": {"run": {"spec": read}}}
    kind = "sweep" if "search" in read else "run"
    return {**place, "action": {kind: {name: value for name, value in read.items() if name != "project"}}}


def list_schedules(client: Client, arguments: Arguments) -> None:
    found = list(client.items("/schedules", arguments.limit, project=arguments.project))
    if arguments.json:
        say_json(found)
        return
    rows = (
        [one["id"], _state(one), one["project"], one["name"], one["when"], moment(_first(one["next"]))] for one in found
    )
    table(("id", "state", "project", "name", "when", "next"), rows)


def show(client: Client, arguments: Arguments) -> None:
    _show(client.get(f"/schedules/{arguments.id}"), arguments)
    if arguments.json:
        return
    firings = list(client.items(f"/schedules/{arguments.id}/firings", 10))
    if firings:
        say("")
        rows = ([moment(one["due_at"]), one["outcome"], one["run"] or one["sweep"], one["message"]] for one in firings)
        table(("time", "outcome", "id", "message"), rows)


def run(client: Client, arguments: Arguments) -> None:
    firing = client.post(f"/schedules/{arguments.id}/run")
    if arguments.json:
        say_json(firing)
        return
    begun = f"run {firing['run']}" if firing["run"] else f"sweep {firing['sweep']}"
    say(f"It began {begun}." if firing["outcome"] == "queued" else f"It began nothing: {firing['message']}")


def switch(enabled: bool, client: Client, arguments: Arguments) -> None:
    _show(client.patch(f"/schedules/{arguments.id}", {"enabled": enabled}), arguments)


def delete(client: Client, arguments: Arguments) -> None:
    client.delete(f"/schedules/{arguments.id}")
    if not arguments.json:
        say(f"Schedule {arguments.id} is deleted.")


def _show(schedule: dict[str, Any], arguments: Arguments) -> None:
    if arguments.json:
        say_json(schedule)
        return
    facts([
        ("schedule", schedule["id"]), ("name", schedule["name"]), ("project", schedule["project"]),
        ("state", _state(schedule)), ("notice", schedule["notice"]), ("when", schedule["when"]),
        ("time zone", schedule["timezone"]), ("queues", next(iter(schedule["action"]))),
        ("next", [moment(time) for time in schedule["next"]]), ("missed times", schedule["missed"]),
        ("acts for", schedule["created_by"]), ("page", schedule["url"]),
    ])  # fmt: skip


def _state(schedule: dict[str, Any]) -> str:
    return "enabled" if schedule["enabled"] else "disabled"


def _first(times: list[str]) -> str | None:
    return times[0] if times else None
