"""`hone protocol`: list the protocols and start a study by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hone.commands.options import Arguments, Words, group, word
from hone.errors import HoneError
from hone.printing import say, say_json, table
from hone.reading import document, pairs

if TYPE_CHECKING:
    from hone.client import Client


def add(groups: Words) -> None:
    words = group(groups, "protocol", "protocols: studies with rules of their own")
    word(words, "list", list_protocols, "list the protocols")
    parser = word(words, "start", start, "start all sweeps of a study")
    parser.add_argument("protocol", help="its name, of `hone protocol list`")
    parser.add_argument("file", help="the base job spec in JSON or YAML; - is the standard input")
    parser.add_argument("knobs", nargs="*", metavar="KNOB=VALUE", help="like points=5")
    parser.add_argument("--project", help="its slug")
    parser.add_argument("--name", help="of the study")
    parser.add_argument("--plan", action="store_true", help="only show the sweeps that it would start")


def list_protocols(client: Client, arguments: Arguments) -> None:
    found = client.get("/protocols")["items"]
    if arguments.json:
        say_json(found)
        return
    table(
        ("name", "what it answers", "missing here"),
        ([one["name"], one["summary"], one["unavailable"]] for one in found),
    )


def start(client: Client, arguments: Arguments) -> None:
    body = {"spec": document(arguments.file), "knobs": pairs(arguments.knobs)}
    body |= {name: value for name in ("project", "name") if (value := getattr(arguments, name)) is not None}
    if arguments.plan:
        body.pop("name", None)
        _show_plan(client.post(f"/protocols/{arguments.protocol}/plan", body), arguments)
        return
    if "project" not in body:
        raise HoneError("Name the project with --project.")
    study = client.post(f"/protocols/{arguments.protocol}", body)
    if arguments.json:
        say_json(study)
        return
    table(("sweep", "status", "name"), ([one["id"], one["status"], one["name"]] for one in study["sweeps"]))


def _show_plan(plan: dict[str, Any], arguments: Arguments) -> None:
    if arguments.json:
        say_json(plan)
        return
    table(("name", "trials", "runs"), ([one["name"], one["trials"], one["runs"]] for one in plan["sweeps"]))
    for note in (note for one in plan["sweeps"] for note in one["notes"]):
        say(note)
    say(f"{plan['trials']} trials in {plan['runs']} runs.")
