from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from webapp.runs.models import Run


@pytest.fixture
def run(db: None) -> Run:
    from tests.metrics.runs import make_run  # models can't be imported before the session's servers are there

    return make_run()
