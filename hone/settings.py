"""Where Hone answers and who asks: options first, then the environment, then what `make up` has written here."""

from __future__ import annotations

import os
from pathlib import Path

from hone.errors import HoneError

PREFIX = "/api/v1"


def api_url(given: str | None = None) -> str:
    """The API's address: of --url, HONE_URL, or this machine's HONE_PORT (8000)."""
    address = given or os.environ.get("HONE_URL") or f"http://127.0.0.1:{os.environ.get('HONE_PORT') or 8000}"
    if not address.startswith(("http://", "https://")):
        raise HoneError(f"The address must begin with http:// or https://, not {address!r} (--url or HONE_URL).")
    return address.rstrip("/").removesuffix(PREFIX) + PREFIX


def token(given: str | None = None) -> str:
    """The one given, HONE_TOKEN, or the administrator's in $HONE_HOME. It is never printed."""
    if given := given or os.environ.get("HONE_TOKEN", "").strip():
        return given
    path = home() / "admin-token"
    try:
        return path.read_text().strip()
    except OSError:
        raise HoneError(
            f"There is no token: set HONE_TOKEN to one of yours (page Tokens); {path} can't be read."
        ) from None


def home() -> Path:
    return Path(os.environ.get("HONE_HOME") or ".hone")


def spool() -> Path:
    """Where runs keep what the server has not got yet: HONE_SPOOL, or $HONE_HOME/spool."""
    return Path(os.environ.get("HONE_SPOOL") or home() / "spool").absolute()
