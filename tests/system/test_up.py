"""`manage.py up` as a person uses it: start, follow the link, Ctrl-C, start again; and each way it refuses."""

import http.cookiejar
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 90


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(home: Path, port: int, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HONE_", "DATABASE_", "REDIS_"))}
    return {**kept, "HONE_HOME": str(home), "HONE_PORT": str(port), "DJANGO_SETTINGS_MODULE": "webapp.settings", **more}


@contextmanager
def up(home: Path, port: int, output: Path):
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up"], cwd=ROOT, env=environment(home, port), stdout=file, stderr=file
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while "Sign in once with" not in output.read_text():
            assert process.poll() is None and time.monotonic() < deadline, output.read_text()
            time.sleep(0.05)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, output.read_text()


def refused(home: Path, port: int, **more: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT, env=environment(home, port, **more), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("hone: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.slow
def test_it_starts_signs_in_by_link_stops_every_process_and_finds_its_data_again(tmp_path_factory):
    home, port = tmp_path_factory.mktemp("up") / "home", free_port()
    with up(home, port, home.parent / "first.log") as process:
        children = psutil.Process(process.pid).children(recursive=True)
        link = re.search(r"http://\S+/login/\S+", (home.parent / "first.log").read_text()).group()
        assert sign_in(link) == "admin"
        assert sign_in(link) is None, "a login link works once"
        token = (home / "admin-token").read_text().strip()
        create_project(port, token, "kept")
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "admin-token").stat().st_mode) == 0o600
        assert {other for child in children for other in listening_ports(child)} <= {port}
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []
    with up(home, port, home.parent / "second.log"):
        assert [project["name"] for project in get(port, token, "/api/v1/projects")["items"]] == ["kept"]


def test_a_taken_port_is_one_sentence(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} on 127.0.0.1 can't be used" in refused(tmp_path / "home", port)


def test_an_unusable_home_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    assert "HONE_HOME" in refused(tmp_path / "file" / "home", free_port())


def test_a_dead_database_is_one_sentence(tmp_path):
    message = refused(tmp_path / "home", free_port(), DATABASE_URL=f"postgresql://hone@127.0.0.1:{free_port()}/hone")
    assert "DATABASE_URL" in message


def test_a_dead_redis_is_one_sentence(tmp_path):
    message = refused(tmp_path / "home", free_port(), REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert "REDIS_URL" in message


def test_make_names_the_missing_python(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    done = subprocess.run(["make", "up", "PYTHON=/no/such/python"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "Hone needs Python 3.11 or newer" in done.stderr


def listening_ports(process: psutil.Process) -> set[int]:
    try:
        connections = process.net_connections("tcp")
    except psutil.NoSuchProcess:  # a helper that has ended meanwhile
        return set()
    return {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}


def sign_in(link: str) -> str | None:
    """The name in the page's frame after following the link and pressing its button; None when it is refused."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    try:
        page = opener.open(link).read().decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page).group(1)
        data = urllib.parse.urlencode({"csrfmiddlewaretoken": token}).encode()
        page = opener.open(urllib.request.Request(link, data=data, headers={"Referer": link})).read().decode()
    except urllib.error.HTTPError:
        return None
    return "admin" if "admin" in page else None


def create_project(port: int, token: str, name: str) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/projects",
        data=f'{{"name": "{name}"}}'.encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    assert urllib.request.urlopen(request).status == 201


def get(port: int, token: str, path: str):
    import json

    headers = {"Authorization": f"Bearer {token}"}
    return json.load(urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)))
