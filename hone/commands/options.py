"""The options and the plumbing that every command shares."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from hone.settings import api_url, token

if TYPE_CHECKING:
    from hone.client import Client

Arguments: TypeAlias = argparse.Namespace
Words: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run: TypeAlias = "Callable[[Client, Arguments], int | None]"  # the exit status; None is 0


def group(groups: Words, name: str, summary: str) -> Words:
    """`hone NAME ...`; its words are added with `word`."""
    parser = groups.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    return parser.add_subparsers(dest="word", required=True, metavar="COMMAND")


def word(words: Words, name: str, run: Run, summary: str) -> argparse.ArgumentParser:
    """`hone GROUP NAME`: `run` is called with a client and the arguments."""
    parser = words.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    parser.add_argument("--url", help="where Hone answers (default: HONE_URL, or this machine)")
    parser.add_argument("--json", action="store_true", help="print the API's JSON")
    parser.set_defaults(run=run)
    return parser


def limited(parser: argparse.ArgumentParser, most: int = 50) -> None:
    parser.add_argument("--limit", type=positive, default=most, help=f"how many at most (default: {most})")


def numbered(parser: argparse.ArgumentParser, name: str = "id") -> None:
    parser.add_argument(name, type=positive, metavar=name.upper(), help="its number")


def positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number


def execute(arguments: Arguments) -> int:
    from hone.client import Client  # httpx takes a while to load, which --help and `hone worker` need not wait for

    with Client(api_url(arguments.url), token()) as client:
        return arguments.run(client, arguments) or 0
