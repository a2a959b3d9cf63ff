"""Random secrets that are shown once and kept only as SHA-256 digests.

They carry 256 random bits, so a slow password hash would add nothing; looking one up by its digest in a unique index
leaks nothing about the secret through timing, because the digest of a guess is not under the guesser's control.
"""

from __future__ import annotations

import hashlib
import secrets

TOKEN_PREFIX = "hone_"  # noqa: S105 - lets secret scanners find a leaked token


def new_token() -> str:
    """`hone_` and 43 url-safe characters."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def new_link() -> str:
    """43 url-safe characters."""
    return secrets.token_urlsafe(32)


def digest(plain: str) -> str:
    """64 hexadecimal characters."""
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()
