"""`hone runs`: list, show, submit and control runs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from hone.commands.options import Arguments, Words, group, limited, numbered, word
from hone.errors import HoneError
from hone.printing import facts, moment, say, say_json, table
from hone.reading import document

if TYPE_CHECKING:
    from hone.client import Client

CONTROLS = {
    "cancel": "stop a run for good; one that trains writes a checkpoint first",
    "pause": "stop a run at its next step and keep its checkpoint",
    "resume": "queue a paused run again",
    "requeue": "queue a run again that ended without success",
}
HEADER = ("id", "status", "kind", "project", "name", "step", "of", "queue", "place")


def add(groups: Words) -> None:
    words = group(groups, "runs", "single runs")
    parser = word(words, "list", list_runs, "list runs, newest first")
    for name in ("project", "status", "q", "tag", "kind", "queue", "sort"):
        parser.add_argument(f"--{name}")
    limited(parser)
    numbered(word(words, "show", show, "show a run"))
    parser = word(words, "submit", submit, "queue a job")
    parser.add_argument(
        "file", help="a job spec, or a whole body of POST /runs, in JSON or YAML; - is the standard input"
    )
    parser.add_argument("--project", help="its slug")
    parser.add_argument("--name")
    parser.add_argument("--tag", action="append", dest="tags", help="repeat it for several")
    parser.add_argument("--priority", type=int)
    parser.add_argument("--queue")
    parser.add_argument("--baseline", type=int, help="a run to compare the result with")
    for name, summary in CONTROLS.items():
        numbered(word(words, name, partial(control, name), summary))
    numbered(word(words, "delete", delete, "delete a run"))


def list_runs(client: Client, arguments: Arguments) -> None:
    query = {name: getattr(arguments, name) for name in ("project", "status", "q", "tag", "kind", "queue", "sort")}
    found = list(client.items("/runs", arguments.limit, **query))
    if arguments.json:
        say_json(found)
        return
    columns = ("id", "status", "kind", "project", "name", "step", "steps", "queue", "position")
    table(HEADER, ([run[name] for name in columns] for run in found))


def show(client: Client, arguments: Arguments) -> None:
    _show(client.get(f"/runs/{arguments.id}"), arguments)


def submit(client: Client, arguments: Arguments) -> None:
    read = document(arguments.file)
    body = read if "spec" in read else {"spec": read}
    names = ("project", "name", "tags", "priority", "queue", "baseline")
    body |= {name: value for name in names if (value := getattr(arguments, name)) is not None}
    if "project" not in body:
        raise HoneError("Name the project with --project, or in the file.")
    _show(client.post("/runs", body), arguments)


def control(action: str, client: Client, arguments: Arguments) -> None:
    _show(client.post(f"/runs/{arguments.id}/{action}"), arguments)


def delete(client: Client, arguments: Arguments) -> None:
    client.delete(f"/runs/{arguments.id}")
    if not arguments.json:
        say(f"Run {arguments.id} is deleted.")


def _show(run: dict[str, Any], arguments: Arguments) -> None:
    if arguments.json:
        say_json(run)
        return
    of = f" of {run['steps']}" if run["steps"] else ""
    error = run["error"] and f"{run['error']['type']}: {run['error']['message']}"
    facts([
        ("run", run["id"]), ("name", run["name"]), ("project", run["project"]), ("kind", run["kind"]),
        ("status", run["status"]), ("place in queue", run["position"]), ("step", f"{run['step']}{of}"),
        ("error", error), ("tags", run["tags"]), ("created", moment(run["created_at"])),
        ("started", moment(run["started_at"])), ("ended", moment(run["ended_at"])), ("page", run["url"]),
    ])  # fmt: skip
    if run["summary"]:
        say("")
        rows = (
            [name, *(values[key] for key in ("last", "min", "max", "mean"))] for name, values in run["summary"].items()
        )
        table(("metric", "last", "min", "max", "mean"), rows)
