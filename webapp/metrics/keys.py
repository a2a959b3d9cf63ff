"""Requests with an `Idempotency-Key` count once per run, however often and in how many places at once they are sent.

A key is claimed in the transaction that stores the points: a second request with it waits for the first one's commit
and then finds what it stored, or, when the first was rolled back, takes its place. Keys are kept for a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models.functions import Now

from webapp.metrics.errors import Invalid
from webapp.metrics.models import KEY_LENGTH, PointsKey

KEPT = timedelta(days=1)
CLEANED_EVERY = 256  # keys
FIELD = "Idempotency-Key"
_CLAIM = """
    INSERT INTO points_keys (run_id, key, digest, points)
    SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bytea[], %s::bigint[]) ON CONFLICT DO NOTHING
    RETURNING run_id, id"""


class Claim(NamedTuple):
    """A request that stores so many points (or media) of a run; `digest` is that of its body."""

    run_id: int
    key: str
    digest: bytes
    points: int


def claim_all(claims: Sequence[Claim]) -> dict[int, int]:
    """Makes the keys, of different runs, their own; gives, by run, what those keys have stored that were known before.

    Raises Invalid when a key came with another body before.
    """
    if not claims:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [list(column) for column in zip(*sorted(claims), strict=True)])
        ours = dict(cursor.fetchall())
    for run_id, number in ours.items():
        _forget_some(run_id, number)
    return {claim.run_id: _stored(claim) for claim in claims if claim.run_id not in ours}


def claim(run_id: int, key: str, digest: bytes, points: int) -> int | None:
    """None when the key is now ours and stands for so many points, else the number that it has stored before.

    Raises Invalid when the key is none, or came with another body before.
    """
    check(key)
    return claim_all([Claim(run_id, key, digest, points)]).get(run_id)


def known(run_id: int, key: str, digest: bytes) -> int | None:
    """What the key has stored, or None when it is new. Waits for a request with it that is not committed yet."""
    with transaction.atomic():
        stored = claim(run_id, key, digest, 0)
        transaction.set_rollback(stored is None)
        return stored


def check(key: str) -> None:
    """Raises Invalid for what can't be a key."""
    if not 1 <= len(key) <= KEY_LENGTH or not (key.isascii() and key.isprintable()):
        raise _invalid(f"A key has 1 to {KEY_LENGTH} printable ASCII characters, not {key[:60]!r}.")


def _stored(claim: Claim) -> int:
    found = PointsKey.objects.get(run_id=claim.run_id, key=claim.key)
    if bytes(found.digest) != claim.digest:
        raise _invalid(f"The key {claim.key!r} has been used for another body: a key stands for one request.")
    return found.points or 0


def _forget_some(run_id: int, number: int) -> None:
    """`number` is that of a new key: one in so many is the occasion."""
    if number % CLEANED_EVERY == 0:
        PointsKey.objects.filter(run_id=run_id, created_at__lt=Now() - KEPT).delete()


def _invalid(message: str) -> Invalid:
    return Invalid([{"loc": [FIELD], "msg": message}])
