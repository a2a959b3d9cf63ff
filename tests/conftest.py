"""One embedded PostgreSQL and Redis for the whole session; every xdist worker gets its own database on it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import django
import psycopg
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Starts the servers before Django reads its settings; xdist workers inherit the controller's.

    The settings are named here and not in pyproject.toml, because pytest-django would read those before this hook.
    """
    os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
    if "HONE_TEST_HOME" not in os.environ:
        _start_servers(config)
    django.setup()
    _flush_again_after_a_deadlock()


def _start_servers(config: pytest.Config) -> None:
    home = Path(tempfile.mkdtemp(prefix="hone-"))
    os.environ.pop("DATABASE_URL", None)
    os.environ.pop("REDIS_URL", None)
    os.environ["HONE_TEST_HOME"] = os.environ["HONE_HOME"] = str(home)
    from webapp.system.embedded import Servers, stop

    servers = Servers(home)
    processes = [servers.start_postgres(), servers.start_redis()]
    _forget_the_disk(servers.run_dir)

    def shut_down() -> None:
        for process in processes:
            stop(process)
        shutil.rmtree(home, ignore_errors=True)
        del os.environ["HONE_TEST_HOME"]

    config.add_cleanup(shut_down)


def _forget_the_disk(run_dir: Path) -> None:
    """No test pulls the plug of this cluster, so nothing waits for the disk: half the suite's time."""
    with psycopg.connect(host=str(run_dir), user="hone", dbname="hone", autocommit=True) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {name} = off")
        connection.execute("SELECT pg_reload_conf()")


def _flush_again_after_a_deadlock() -> None:
    """A browser that a test has left may still be answered while the tables are emptied: each waits for the other."""
    from django.core.management import CommandError
    from django.db.utils import OperationalError
    from django.test import TransactionTestCase

    flush = getattr(TransactionTestCase, "_fixture_teardown")  # noqa: B009

    def patiently(case: TransactionTestCase, more: int = 5) -> None:
        try:
            flush(case)
        except CommandError as error:
            if not more or not isinstance(error.__cause__, OperationalError) or "deadlock" not in str(error.__cause__):
                raise
            patiently(case, more - 1)

    setattr(TransactionTestCase, "_fixture_teardown", patiently)  # noqa: B010


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A real browser. One a module: playwright keeps an event loop in this thread, in which no async test could run."""
    from playwright.sync_api import sync_playwright

    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # the ORM looks for an event loop
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
