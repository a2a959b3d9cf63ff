"""The command as somebody types it, against the real application over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from hone.cli import main
from tests.api.conftest import live_world, server

if TYPE_CHECKING:
    from tests.api.world import World

__all__ = ["live_world", "server"]


class Said(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Hone = Callable[..., Said]


@pytest.fixture
def environment(server: str, live_world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets HONE_URL and somebody's HONE_TOKEN."""
    from webapp.accounts import actions as accounts

    def as_somebody(role: str) -> None:
        monkeypatch.setenv("HONE_URL", server.removesuffix("/api/v1"))
        monkeypatch.setenv("HONE_TOKEN", accounts.create_token(getattr(live_world, role), "command")[1])

    return as_somebody


@pytest.fixture
def hone(environment: Callable[[str], None], capsys: pytest.CaptureFixture[str]) -> Hone:
    """`hone("runs", "list")`: what it printed, and the exit status."""

    def run(*words: object, role: str = "editor") -> Said:
        environment(role)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        told = capsys.readouterr()
        code = ended.value.code
        if isinstance(code, str):  # what sys.exit would print
            return Said(1, told.out, f"{told.err}{code}\n")
        return Said(code or 0, told.out, told.err)

    return run
