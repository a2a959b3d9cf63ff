"""What all scaling laws share: what is known of a parameter, and the knobs that every law has. Free of numpy."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from pydantic import Field, model_validator

from gpu_jobs import registry


class Parameter(NamedTuple):
    """One unknown of a law. With `log`, it is positive and fitted as its logarithm; starts are then logarithms, too."""

    name: str
    help: str
    log: bool = False
    exponent_of: str | None = None  # the variable whose range must be wide for this exponent to be identified


class LawKnobs(registry.Knobs):
    """`fixed` holds parameters at values; the others are fitted."""

    fixed: dict[str, float] = Field(
        default_factory=dict,
        description="Parameters that are held at a value instead of fitted, by name.",
        json_schema_extra={"advanced": True},
    )

    @model_validator(mode="after")
    def _fixed_fits(self) -> Self:
        known = {parameter.name: parameter for parameter in self.parameters}
        for name, value in self.fixed.items():
            if name not in known:
                raise ValueError(f"fixed: law {self.name!r} has no parameter {name!r}: it has {', '.join(known)}")
            if known[name].log and not value > 0:
                raise ValueError(f"fixed.{name} must be positive: {value}")
        return self

    @property
    def parameters(self) -> list[Parameter]:
        """All parameters, those that are fixed included."""
        found: list[Parameter] = registry.method_of(self).module.parameters(self)
        return found

    @property
    def free(self) -> list[Parameter]:
        """Those that are fitted."""
        return [parameter for parameter in self.parameters if parameter.name not in self.fixed]

    @property
    def variables(self) -> dict[str, str]:
        """The columns that it reads, with their units."""
        found: dict[str, str] = registry.method_of(self).module.variables(self)
        return found

    @property
    def target(self) -> str:
        """The column that it explains."""
        found: Any = registry.method_of(self).module.target(self)
        return str(found)
