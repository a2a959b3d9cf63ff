from __future__ import annotations

from tests.pages.conftest import team

__all__ = ["team"]
