"""The page of the API's description works under the strict policy.

A file of its own: while playwright's event loop is in this thread, no request can be made without a server.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # playwright's loop runs in this thread


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_page_works_in_a_browser_without_breaking_the_policy(live_server: Any, chromium: Any) -> None:
    page = chromium.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(request.url))
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page.goto(f"{live_server.url}/api/v1/docs")
    page.get_by_text("/api/v1/runs/{run_id}/clone").first.wait_for(timeout=20_000)
    page.locator("#operations-Runs-list_runs .opblock-summary-control").click()
    page.get_by_text("Newest first, or by").first.wait_for()
    page.close()
    assert problems == []
    assert hosts == {live_server.url.split("/")[2]}
