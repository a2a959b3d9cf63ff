from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sweeps.scheduling.scene import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The schedules' clock, at Monday 23 November 2026, 07:00:30 UTC."""
    from tests.sweeps.scheduling.scene import Clock

    return Clock(monkeypatch)
