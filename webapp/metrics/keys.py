"""Requests with an `Idempotency-Key` count once per run, however often and in how many places at once they are sent.

A key is claimed in the transaction that stores the points: a second request with it waits for the first one's commit
and then finds what it stored, or, when the first was rolled back, takes its place. Keys are kept for a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from django.db import connection, transaction
from django.db.models.functions import Now

from webapp.metrics.errors import Invalid
from webapp.metrics.models import KEY_LENGTH, PointsKey
from webapp.runs.models import Run

KEPT = timedelta(days=1)
CLEANED_EVERY = 256  # keys
FIELD = "Idempotency-Key"
_CLAIM = """
    INSERT INTO points_keys (run_id, key, digest, points)
    SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bytea[], %s::bigint[]) ON CONFLICT DO NOTHING
    RETURNING run_id, id"""


class Claim(Protocol):
    """What comes with a key, or with none."""

    @property
    def run(self) -> Run: ...
    @property
    def key(self) -> str | None: ...
    @property
    def digest(self) -> bytes: ...
    @property
    def points(self) -> int: ...


def claim_all(claims: Sequence[Claim]) -> list[int | None]:
    """For each, of different runs: None when its key is now its own and stands for its `points`, or when it
    has none; else the number that the key has stored before. Raises Invalid as `claim` does.
    """
    rows = sorted((claim.run.pk, claim.key, claim.digest, claim.points) for claim in claims if claim.key is not None)
    if not rows:
        return [None] * len(claims)
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [list(column) for column in zip(*rows, strict=True)])
        ours = dict(cursor.fetchall())
    for run_id, number in ours.items():
        _forget_some(run_id, number)
    return [
        None if claim.key is None or claim.run.pk in ours else _stored(claim.run.pk, claim.key, claim.digest)
        for claim in claims
    ]


def claim(run_id: int, key: str, digest: bytes) -> int | None:
    """None when the key is now ours (then `settle` it), else the number of points that it has stored.

    Raises Invalid when the key is none, or came with another body before.
    """
    check(key)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO points_keys (run_id, key, digest) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [run_id, key, digest],
        )
        if cursor.rowcount:
            return None
    return _stored(run_id, key, digest)


def known(run_id: int, key: str, digest: bytes) -> int | None:
    """What the key has stored, or None when it is new. Waits for a request with it that is not committed yet."""
    with transaction.atomic():
        stored = claim(run_id, key, digest)
        transaction.set_rollback(stored is None)
        return stored


def check(key: str) -> None:
    """Raises Invalid for what can't be a key."""
    if not 1 <= len(key) <= KEY_LENGTH or not (key.isascii() and key.isprintable()):
        raise _invalid(f"A key has 1 to {KEY_LENGTH} printable ASCII characters, not {key[:60]!r}.")


def settle(run_id: int, key: str, points: int) -> None:
    """Notes what the key's request has stored; now and then forgets old keys of the run."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE points_keys SET points = %s WHERE run_id = %s AND key = %s RETURNING id", [points, run_id, key]
        )
        (number,) = cursor.fetchone()
    _forget_some(run_id, number)


def _stored(run_id: int, key: str, digest: bytes) -> int:
    found = PointsKey.objects.get(run_id=run_id, key=key)
    if bytes(found.digest) != digest:
        raise _invalid(f"The key {key!r} has been used for another body: a key stands for one request.")
    return found.points or 0


def _forget_some(run_id: int, number: int) -> None:
    """`number` is that of a new key: one in so many is the occasion."""
    if number % CLEANED_EVERY == 0:
        PointsKey.objects.filter(run_id=run_id, created_at__lt=Now() - KEPT).delete()


def _invalid(message: str) -> Invalid:
    return Invalid([{"loc": [FIELD], "msg": message}])
