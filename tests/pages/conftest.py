from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.pages.team import Team


@pytest.fixture
def team(db: None) -> Team:
    """One person of each role; models load only here, because pytest reads this file before Django is set up."""
    from tests.pages.team import make_team

    return make_team()
