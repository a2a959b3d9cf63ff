"""The functions that laws are written in: of numbers, of arrays, and of duals, which carry their derivatives along.

A dual is a value with its partial derivatives by some of the parameters (forward mode); a derivative that is zero is
not there. Shapes broadcast as numpy's do: a parameter is (batch, 1), a variable (points,). numpy is loaded when the
first value is computed, so that laws can be listed without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class Dual:
    """`partials` maps a parameter's index to the derivative by it, of a shape that broadcasts to the value's."""

    __array_ufunc__ = None  # an array on the left asks this class
    __slots__ = ("partials", "value")

    def __init__(self, value: Any, partials: Mapping[int, Any]) -> None:
        self.value, self.partials = value, partials

    def chained(self, value: Any, slope: Any) -> Dual:
        """f(self), where `value` is f's and `slope` its derivative."""
        return Dual(value, {index: slope * partial for index, partial in self.partials.items()})

    def __neg__(self) -> Dual:
        return Dual(-self.value, {index: -partial for index, partial in self.partials.items()})

    def __pos__(self) -> Dual:
        return self

    def __add__(self, other: Any) -> Dual:
        if not isinstance(other, Dual):
            return Dual(self.value + other, self.partials)
        found = dict(self.partials)
        for index, partial in other.partials.items():
            found[index] = found[index] + partial if index in found else partial
        return Dual(self.value + other.value, found)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Dual:
        found: Dual = self + -other
        return found

    def __rsub__(self, other: Any) -> Dual:
        found: Dual = -self + other
        return found

    def __mul__(self, other: Any) -> Dual:
        if not isinstance(other, Dual):
            return self.chained(self.value * other, other)
        found = {index: other.value * partial for index, partial in self.partials.items()}
        for index, partial in other.partials.items():
            found[index] = found[index] + self.value * partial if index in found else self.value * partial
        return Dual(self.value * other.value, found)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Dual:
        found: Dual = self * (other**-1.0 if isinstance(other, Dual) else 1.0 / other)
        return found

    def __rtruediv__(self, other: Any) -> Dual:
        found: Dual = self**-1.0 * other
        return found

    def __pow__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            both: Dual = exp(log(self) * other)
            return both
        value = self.value**other
        return self.chained(value, other * self.value ** (other - 1.0))

    def __rpow__(self, other: Any) -> Dual:
        found: Dual = exp(self * log(other))
        return found


def _function(name: str, slope: Callable[[Any, Any, Any], Any]) -> Callable[[Any], Any]:
    """numpy's function of that name; `slope(numpy, x, f(x))` is its derivative."""

    def apply(x: Any) -> Any:
        import numpy

        if not isinstance(x, Dual):
            return getattr(numpy, name)(x)
        value = getattr(numpy, name)(x.value)
        return x.chained(value, slope(numpy, x.value, value))

    return apply


exp = _function("exp", lambda numpy, x, value: value)
log = _function("log", lambda numpy, x, value: 1.0 / x)
sqrt = _function("sqrt", lambda numpy, x, value: 0.5 / value)
absolute = _function("abs", lambda numpy, x, value: numpy.sign(x))


def minimum(one: Any, other: Any) -> Any:
    """The smaller one, entry by entry, with its derivatives."""
    return _chosen(one, other, lambda left, right: left <= right)


def maximum(one: Any, other: Any) -> Any:
    """The larger one, entry by entry, with its derivatives."""
    return _chosen(one, other, lambda left, right: left >= right)


def _chosen(one: Any, other: Any, first: Callable[[Any, Any], Any]) -> Any:
    import numpy

    left, right = plain(one), plain(other)
    takes = first(left, right)
    value = numpy.where(takes, left, right)
    if not isinstance(one, Dual) and not isinstance(other, Dual):
        return value
    mine = one.partials if isinstance(one, Dual) else {}
    theirs = other.partials if isinstance(other, Dual) else {}
    found = {index: numpy.where(takes, mine.get(index, 0.0), theirs.get(index, 0.0)) for index in {*mine, *theirs}}
    return Dual(value, found)


def plain(x: Any) -> Any:
    """The value without its derivatives."""
    return x.value if isinstance(x, Dual) else x
