"""Queries that the ORM builds once: for a small look-up, building costs several times what asking the database does."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from django.db import connection
from django.db.models import QuerySet

Place = int | str


class Prepared:
    """`build` makes the query, once, out of `places`: values that it has nowhere else, and that each call replaces.

    The query must be one of values: its rows come as the database gives them.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, Any]], *places: Place) -> None:
        self._build = build
        self._places = places

    def first(self, *values: Place) -> tuple[Any, ...] | None:
        """The first row for these values, in the order of the places."""
        return next(iter(self.rows(*values)), None)

    def rows(self, *values: Place) -> list[tuple[Any, ...]]:
        given = dict(zip(self._places, values, strict=True))
        sql, parameters = self._statement
        with connection.cursor() as cursor:
            cursor.execute(sql, [given.get(each, each) for each in parameters])
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    @cached_property
    def _statement(self) -> tuple[str, tuple[Any, ...]]:
        sql, parameters = self._build(*self._places).query.sql_with_params()
        unused = [place for place in self._places if place not in parameters]
        if unused:
            raise ValueError(f"The query does not use {unused}: it would give the same to every call.")
        return sql, parameters
