"""What can be compared with what, and how that becomes a condition. Values reach the database as parameters only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import BooleanField, Case, FloatField, Func, Q, TextField, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce, NullIf, TruncDate
from django.db.models.lookups import Exact, GreaterThan, GreaterThanOrEqual, IsNull, LessThan, LessThanOrEqual
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import is_naive, make_aware

from webapp.runs.language import tree
from webapp.runs.language.parsing import Fault

Expression = Combinable
LOOKUPS: Mapping[str, Any] = {
    "=": Exact, "<": LessThan, "<=": LessThanOrEqual, ">": GreaterThan, ">=": GreaterThanOrEqual,
}  # fmt: skip
LARGEST = 2**63 - 1
PATTERN = ("like", "ilike")
TIMES = "a time such as '2026-11-01' or '2026-11-01 12:30'"
DURATIONS = "seconds or a duration such as 90s, 15m or 1h30m"


class Like(Func):
    template = "(%(expressions)s)"
    arg_joiner = " LIKE "
    output_field = BooleanField()


class ILike(Like):
    arg_joiner = " ILIKE "


class AnyLike(Func):
    """Whether one of the texts of an array is like the pattern."""

    template = "EXISTS (SELECT 1 FROM unnest(%(expressions)s)"
    arg_joiner = ") AS part (text) WHERE part.text LIKE "
    output_field = BooleanField()


class AnyILike(AnyLike):
    arg_joiner = ") AS part (text) WHERE part.text ILIKE "


class Contains(Func):
    """Whether an array has all parts of another."""

    template = "(%(expressions)s)"
    arg_joiner = " @> "
    output_field = BooleanField()


class Below(Func):
    """What lies in a JSON document at a path, as JSON."""

    template = "(%(expressions)s)"
    arg_joiner = " #> "
    output_field: models.Field[Any, Any] = models.JSONField()


class TextBelow(Below):
    """The same as text: a string without its quotes, everything else as JSON."""

    arg_joiner = " #>> "
    output_field = TextField()


class JsonType(Func):
    function = "jsonb_typeof"
    output_field = TextField()


class AsNumeric(Func):
    """The number that a JSON value is; everything else is an error of the database."""

    template = "(%(expressions)s)::numeric"
    output_field = models.DecimalField()


@dataclass(frozen=True)
class Type:
    """`compare(expression, operator, value)` is a condition; it raises Fault at a value that doesn't fit.

    `operators`: those that mean something, without those turned round. `name` is how an error calls the values.
    """

    name: str
    operators: tuple[str, ...]
    compare: Callable[[Expression, str, tree.Value], Q]
    present: Callable[[Expression], Q] = lambda expression: Q(IsNull(expression, False))


def _text(value: tree.Value) -> str:
    if not isinstance(value, tree.Text):
        raise Fault(value.at, "a text in quotes")
    return value.value


def _pattern(value: tree.Value) -> str:
    r"""A backslash takes the meaning of the % or _ behind it; one at the end would be an error of the database."""
    text = _text(value)
    if (len(text) - len(text.rstrip("\\"))) % 2:
        raise Fault(value.at, "a pattern that doesn't end in a single \\ (write \\\\)")
    return text


def _number(value: tree.Value) -> int | float:
    if not isinstance(value, tree.Number):
        raise Fault(value.at, "a number")
    return value.value


def number_parameter(number: int | float) -> Value:
    """As int8 where it is one: then an index on a whole-numbered column serves."""
    if isinstance(number, int) and abs(number) <= LARGEST:
        return Value(number, models.BigIntegerField())
    return Value(float(number), FloatField())


def compare_text(expression: Expression, operator: str, value: tree.Value) -> Q:
    if operator in PATTERN:
        like = Like if operator == "like" else ILike
        return Q(like(expression, Value(_pattern(value))))
    return Q(Exact(expression, Value(_text(value), TextField())))


def compare_whole(expression: Expression, operator: str, value: tree.Value) -> Q:
    return Q(LOOKUPS[operator](expression, number_parameter(_number(value))))


def compare_float(expression: Expression, operator: str, value: tree.Value) -> Q:
    """NaN is neither above nor below anything; Postgres puts it above every number. It is = nan alone."""
    number = float(_number(value))
    found = Q(LOOKUPS[operator](expression, Value(number, FloatField())))
    if operator == "=":
        return found
    nan = Value(float("nan"), FloatField())
    return found & Q(LessThan(expression, nan)) & Q(LessThan(Value(number, FloatField()), nan))


def compare_time(expression: Expression, operator: str, value: tree.Value) -> Q:
    """A day alone is its first moment; = a day is any moment of it."""
    moment = _moment(value)
    if operator == "=" and not isinstance(moment, datetime):
        return Q(Exact(TruncDate(expression), Value(moment)))
    if not isinstance(moment, datetime):
        moment = make_aware(datetime(moment.year, moment.month, moment.day))
    return Q(LOOKUPS[operator](expression, Value(moment)))


def _moment(value: tree.Value) -> date | datetime:
    text = value.value.strip() if isinstance(value, tree.Text) else ""
    try:
        found = parse_date(text) if len(text) <= 10 else parse_datetime(text)
        if found is not None and isinstance(found, datetime):
            found = make_aware(found) if is_naive(found) else found
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise Fault(value.at, TIMES)
    return found


def compare_duration(expression: Expression, operator: str, value: tree.Value) -> Q:
    if isinstance(value, tree.Text):
        raise Fault(value.at, DURATIONS)
    seconds = value.seconds if isinstance(value, tree.Duration) else float(value.value)
    return Q(LOOKUPS[operator](expression, Value(seconds, FloatField())))


def compare_tags(expression: Expression, operator: str, value: tree.Value) -> Q:
    """A run has several: = means that it has this one, like that one of them is like this."""
    if operator in PATTERN:
        like = AnyLike if operator == "like" else AnyILike
        return Q(like(expression, Value(_pattern(value), TextField())))
    return Q(Contains(expression, Cast(Value([_text(value)]), ArrayField(models.CharField()))))


def compare_json(expression: Expression, operator: str, value: tree.Value) -> Q:
    """A number with numbers only; a text with the text of whatever is there, that of an object being its `name`."""
    if isinstance(value, tree.Duration):
        raise Fault(value.at, "a number or a text in quotes")
    if isinstance(value, tree.Text):
        if operator in LOOKUPS and operator != "=":
            raise Fault(value.at, f"a number after {operator}")
        return _present(json_text(expression)) & compare_text(json_text(expression), operator, value)
    number = json_number(expression)
    if operator in PATTERN:
        raise Fault(value.at, "a text in quotes")
    if isinstance(value.value, float) and not abs(value.value) < float("inf"):
        raise Fault(value.at, "a finite number")
    parameter = Value(Decimal(repr(value.value)), models.DecimalField())
    return _present(number) & Q(LOOKUPS[operator](number, parameter))


def json_text(expression: Expression) -> Expression:
    return Coalesce(TextBelow(expression, _path("name")), TextBelow(expression, _path()))


def json_number(expression: Expression) -> Expression:
    is_number = Exact(JsonType(expression), Value("number", TextField()))
    return Case(When(is_number, then=AsNumeric(expression)), output_field=models.DecimalField())


def json_key(expression: Expression) -> Expression:
    """What to sort by: texts, then numbers, then true and false, as Postgres sorts JSON; of an object its `name`."""
    found = Coalesce(Below(expression, _path("name")), expression)
    return NullIf(found, Cast(Value(None, models.JSONField()), models.JSONField()))


def below(expression: Expression, *parts: str) -> Below:
    return Below(expression, _path(*parts))


def _path(*parts: str) -> Cast:
    return Cast(Value(list(parts), ArrayField(TextField())), ArrayField(TextField()))


def _present(expression: Expression) -> Q:
    return Q(IsNull(expression, False))


def has_any(expression: Expression) -> Q:
    """Whether an array has parts."""
    return Q(GreaterThan(Func(expression, function="cardinality", output_field=models.IntegerField()), Value(0)))


ORDERED = ("=", "<", "<=", ">", ">=", "in", "is")
TEXT = Type("text", ("=", "in", "like", "ilike", "is"), compare_text)
WHOLE = Type("a number", ORDERED, compare_whole)
FLOAT = Type("a number", ORDERED, compare_float)
TIME = Type(TIMES, ORDERED, compare_time)
DURATION = Type(DURATIONS, ORDERED, compare_duration)
TAGS = Type("tags", ("=", "in", "like", "ilike", "is"), compare_tags, has_any)
JSON = Type("a number or text", ("=", "<", "<=", ">", ">=", "in", "like", "ilike", "is"), compare_json,
            lambda expression: _present(json_text(expression)))  # fmt: skip
