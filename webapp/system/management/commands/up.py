"""`manage.py up`: the whole product on this machine, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections

from webapp import env
from webapp.accounts import actions as accounts
from webapp.system.embedded import Servers, prepare_home, stop
from webapp.system.errors import SetupError
from webapp.system.processes import Service

FIRST_ANSWER_TIMEOUT_S = 60.0


class Command(BaseCommand):
    help = "Starts PostgreSQL, Redis, the web server, a worker and the scheduler; Ctrl-C stops all of it."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = _stop_on_signals()
        host, port = env.text("HONE_HOST", "127.0.0.1"), settings.PORT
        _refuse_taken_port(host, port)
        prepare_home(settings.HONE_HOME)
        with ExitStack() as stack:
            _start_servers(stack)
            call_command("migrate", verbosity=0, interactive=False)
            link = _admin_link()
            connections.close_all()
            services = _services(host, port)
            stack.callback(_stop_all, services)
            for service in services:
                service.start()
            if _wait_for_web(services[0], host, port, stopping):
                self._greet(host, port, link)
            self._watch(services, stopping)
            self.stdout.write("\nStopping: running jobs write a checkpoint first.")

    def _greet(self, host: str, port: int, link: str) -> None:
        address = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104
        self.stdout.write(f"\nHone runs at {address}\nSign in once with: {address}/login/{link}/\n")
        self.stdout.write(f"API token of the admin: {settings.HONE_HOME / 'admin-token'}\n")
        self.stdout.write("Ctrl-C stops everything; runs go on where they were at the next start.\n")
        self.stdout.flush()

    def _watch(self, services: list[Service], stopping: threading.Event) -> None:
        while not stopping.wait(0.5):
            for service in services:
                if sentence := service.keep_alive():
                    self.stderr.write(sentence)


def _stop_on_signals() -> threading.Event:
    stopping = threading.Event()

    def stop_soon(number: int, frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop_soon)
    return stopping


def _refuse_taken_port(host: str, port: int) -> None:
    if not 0 < port < 65536:
        raise SetupError(f"HONE_PORT must be between 1 and 65535, not {port}.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise SetupError(f"Port {port} on {host} can't be used ({reason}): set HONE_PORT to a free one.") from None


def _start_servers(stack: ExitStack) -> None:
    """Embedded servers, unless DATABASE_URL or REDIS_URL names one; then that one must answer."""
    servers = Servers(settings.HONE_HOME)
    if env.text("DATABASE_URL"):
        _refuse_dead_database()
    else:
        stack.callback(stop, servers.start_postgres())
    if env.text("REDIS_URL"):
        _refuse_dead_redis()
    else:
        stack.callback(stop, servers.start_redis())


def _refuse_dead_database() -> None:
    try:
        psycopg.connect(env.database_url(), connect_timeout=5).close()
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[-1]
        raise SetupError(f"The database that DATABASE_URL names does not answer: {reason}") from None


def _refuse_dead_redis() -> None:
    try:
        redis.Redis.from_url(env.redis_url(), socket_connect_timeout=5).ping()
    except (redis.RedisError, ValueError) as error:
        raise SetupError(f"The Redis that REDIS_URL names does not answer: {error}") from None


def _admin_link() -> str:
    """A fresh one-time login link; the admin's API token is written once, with mode 0600."""
    admin = accounts.ensure_admin()
    path: Path = settings.HONE_HOME / "admin-token"
    if not path.exists():
        _, token = accounts.create_token(admin, "admin-token file")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token + "\n")
    return accounts.create_login_link(admin)


def _services(host: str, port: int) -> list[Service]:
    web = ["uvicorn", "webapp.asgi:application", "--host", host, "--port", str(port), "--lifespan", "off",
           "--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "2"]  # fmt: skip
    beat = ["celery", "--quiet", "-A", "workers.app", "beat", "--loglevel", "WARNING", "--pidfile", ""]
    grace_s = env.integer("HONE_STOP_GRACE_S", 60)
    return [
        Service("The web server", [sys.executable, "-m", *web], stop_patience_s=5),
        Service("The worker", [sys.executable, "-m", "workers"], stop_patience_s=grace_s + 10),
        Service("The scheduler", [sys.executable, "-m", *beat], stop_patience_s=5),
    ]


def _wait_for_web(web: Service, host: str, port: int, stopping: threading.Event) -> bool:
    """True once the server answers. Raises SetupError when it ends first or stays silent."""
    deadline = time.monotonic() + FIRST_ANSWER_TIMEOUT_S
    while time.monotonic() < deadline and not stopping.is_set():
        if web.process is None or web.process.poll() is not None:
            raise SetupError("The web server ended while starting; what it printed above says why.")
        try:
            urllib.request.urlopen(f"http://{host}:{port}/healthz", timeout=2).close()
            return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            stopping.wait(0.05)
    if stopping.is_set():
        return False
    raise SetupError(f"The web server did not answer within {FIRST_ANSWER_TIMEOUT_S:.0f} s.")


def _stop_all(services: list[Service]) -> None:
    for service in services:
        service.ask_to_stop()
    for service in services:
        service.wait()
