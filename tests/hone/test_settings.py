"""Where the command looks for Hone and for a token, and what it says when it finds neither."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from hone import settings
from hone.client import Client
from hone.errors import HoneError
from tests.hone.conftest import Hone

SECRET = "hone_" + "s3cret" * 4
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HONE_URL", "HONE_TOKEN", "HONE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HONE_HOME", str(tmp_path))


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hone.cli", *words]
    return subprocess.run(command, env=dict(os.environ), cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_address_is_the_option_then_the_environment_then_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.api_url() == "http://127.0.0.1:8000/api/v1"
    monkeypatch.setenv("HONE_PORT", "8143")
    assert settings.api_url() == "http://127.0.0.1:8143/api/v1"
    monkeypatch.setenv("HONE_URL", "https://hone.example/lab/")
    assert settings.api_url() == "https://hone.example/lab/api/v1"
    assert settings.api_url("http://other:1/api/v1") == "http://other:1/api/v1"
    with pytest.raises(HoneError, match="must begin with http"):
        settings.api_url("hone.example")


def test_the_token_is_the_environments_or_the_one_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(HoneError, match="HONE_TOKEN"):
        settings.token()
    (tmp_path / "admin-token").write_text(f"{SECRET}\n")
    assert settings.token() == SECRET
    monkeypatch.setenv("HONE_TOKEN", "hone_other")
    assert settings.token() == "hone_other"


def test_where_nothing_answers_the_command_says_how_to_start_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONE_TOKEN", SECRET)
    ended = run("runs", "list", "--url", "http://127.0.0.1:9")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "No Hone answers at http://127.0.0.1:9" in ended.stderr and "make up" in ended.stderr
    assert SECRET not in ended.stderr and "Traceback" not in ended.stderr


def test_a_wrong_option_is_refused_with_the_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONE_TOKEN", SECRET)
    ended = run("runs", "list", "--colour")
    assert ended.returncode == 2
    assert "unrecognized arguments: --colour" in ended.stderr


@pytest.mark.django_db(transaction=True)
def test_a_token_that_opens_nothing_is_told_without_being_shown(
    server: str, hone: Hone, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(server, SECRET) as client, pytest.raises(HoneError) as raised:
        client.get("/runs")
    assert "valid token" in str(raised.value) and SECRET not in str(raised.value)


@pytest.mark.django_db(transaction=True)
def test_what_answers_without_being_hone_is_told(server: str) -> None:
    address = server.removesuffix("/api/v1")
    assert httpx.get(f"{address}/sign-in/").status_code == 200
    with Client(address, SECRET) as client, pytest.raises(HoneError, match="is not Hone's API"):
        client.get("/sign-in/")


def test_the_command_loads_neither_server_nor_worker_nor_torch() -> None:
    names = "webapp|workers|gpu_jobs|django|torch"
    code = f"import sys, hone.cli, hone.client, re; print([m for m in sys.modules if re.match(r'({names})\\b', m)])"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
