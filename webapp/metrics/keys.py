"""Requests with an `Idempotency-Key` count once per run, however often and in how many places at once they are sent.

A key is claimed in the transaction that stores the points: a second request with it waits for the first one's commit
and then finds what it stored, or, when the first was rolled back, takes its place. Keys are kept for a day.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.db.models.functions import Now

from webapp.metrics.errors import Invalid
from webapp.metrics.models import KEY_LENGTH, PointsKey

KEPT = timedelta(days=1)
CLEANED_EVERY = 256  # keys
FIELD = "Idempotency-Key"


def claim(run_id: int, key: str, digest: bytes) -> int | None:
    """None when the key is now ours (then `settle` it), else the number of points that it has stored.

    Raises Invalid when the key is none, or came with another body before.
    """
    if not 1 <= len(key) <= KEY_LENGTH or not (key.isascii() and key.isprintable()):
        raise _invalid(f"A key has 1 to {KEY_LENGTH} printable ASCII characters, not {key[:60]!r}.")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO points_keys (run_id, key, digest) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [run_id, key, digest],
        )
        if cursor.rowcount:
            return None
    known = PointsKey.objects.get(run_id=run_id, key=key)
    if bytes(known.digest) != digest:
        raise _invalid(f"The key {key!r} has been used for another body: a key stands for one request.")
    return known.points or 0


def settle(run_id: int, key: str, points: int) -> None:
    """Notes what the key's request has stored; now and then forgets old keys of the run."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE points_keys SET points = %s WHERE run_id = %s AND key = %s RETURNING id", [points, run_id, key]
        )
        (number,) = cursor.fetchone()
    if number % CLEANED_EVERY == 0:
        PointsKey.objects.filter(run_id=run_id, created_at__lt=Now() - KEPT).delete()


def _invalid(message: str) -> Invalid:
    return Invalid([{"loc": [FIELD], "msg": message}])
