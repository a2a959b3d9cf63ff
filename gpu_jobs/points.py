"""Where the points of a scaling law come from, and which of them are fitted. Free of numpy."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gpu_jobs import formula
from gpu_jobs.errors import MethodError
from gpu_jobs.sources import Source

MOST_POINTS = 1_000_000
Columns: TypeAlias = dict[str, list[float | str | None]]


def condition(text: str | None, field: str) -> str | None:
    """The text. Raises ValueError, naming the field, where it is no formula of the columns."""
    try:
        if text is not None:
            formula.parse(text, conditions=True)
    except MethodError as error:
        raise ValueError(f"{field}: {error}") from error
    return text


class Points(Source):
    """What all sources of points can be asked. Rows with an empty or infinite value in a needed column are dropped."""

    filter: str | None = Field(
        None,
        max_length=formula.LONGEST,
        description="Keep the rows for which this holds, like: corpus == 'pile' and N > 1e8. A name that is no word "
        "stands in backquotes.",
    )
    drop_highest: int = Field(
        0,
        ge=0,
        le=100_000,
        description="Outliers: keep what lies below the n-th highest value of the target, which drops n rows or, with "
        "ties, more.",
    )
    compute: dict[str, str] = Field(
        default_factory=dict,
        description="Columns made of others by a formula, one of another too: N: `Model Size`, D: `Training FLOP` / "
        "(6 * N).",
    )
    run_column: str | None = Field(
        None, max_length=200, description="The column that tells a row's run, for resampling."
    )
    setting_columns: list[str] = Field(
        default_factory=list,
        max_length=20,
        description="Rows that agree in these are one setting, for resampling. Empty: those that the law reads.",
    )

    @field_validator("filter")
    @classmethod
    def _filter_reads(cls, text: str | None) -> str | None:
        return condition(text, "filter")

    @field_validator("compute")
    @classmethod
    def _compute_reads(cls, given: dict[str, str]) -> dict[str, str]:
        for name, text in given.items():
            condition(text, f"compute.{name}")
        return given

    @property
    def formulas(self) -> dict[str, str]:
        """`compute`, each after those that it is made of: a JSON object has no order that a database must keep.

        Columns that are made of each other stay in the given order; one made of itself replaces the source's own.
        """
        names = {name: formula.parse(text, conditions=True).names for name, text in self.compute.items()}
        before = {name: {each for each in used if each in names and each != name} for name, used in names.items()}
        try:
            return {name: self.compute[name] for name in TopologicalSorter(before).static_order()}
        except CycleError:
            return self.compute


def _equal_lengths(columns: Columns) -> Columns:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns must be of one length: {', '.join(f'{n} {size}' for n, size in lengths.items())}")
    if any(size > MOST_POINTS for size in lengths.values()):
        raise ValueError(f"columns must not be longer than {MOST_POINTS:,}")
    return columns


class TablePoints(Points):
    """Columns given in the spec itself."""

    model_config = ConfigDict(title="Table")

    source: Literal["table"] = "table"
    columns: Columns = Field(min_length=1, description="Each column's values.")

    @field_validator("columns")
    @classmethod
    def _fit(cls, columns: Columns) -> Columns:
        return _equal_lengths(columns)


class UploadPoints(Points):
    """A CSV file with a header that was uploaded to the project."""

    model_config = ConfigDict(title="Upload")

    source: Literal["upload"] = "upload"
    upload: int = Field(ge=1, description="The number of the upload.")

    def reference(self) -> str | None:
        return f"upload:{self.upload}"


class RunPoints(Points):
    """Runs that a query finds. They are looked up when the fit is queued; what was found is kept beside the query."""

    model_config = ConfigDict(title="Runs")

    source: Literal["runs"] = "runs"
    query: str = Field(max_length=2000, description="Which runs, as on the runs page.")
    x: dict[str, str] = Field(
        default_factory=dict,
        description="Where a column comes from: a metric (its last value), facts.parameters.total, spec.steps and "
        "so on. Columns that are not named here have the usual places.",
    )
    columns: Columns | None = Field(None, description="What the query found; filled in when it is queued.")
    runs: list[int] | None = Field(None, description="The run of each row; filled in when it is queued.")

    @model_validator(mode="after")
    def _resolved(self) -> Self:
        if self.columns is not None:
            _equal_lengths(self.columns)
            rows = len(next(iter(self.columns.values()), []))
            if self.runs is not None and len(self.runs) != rows:
                raise ValueError(f"runs must name one run a row: {len(self.runs)} runs, {rows} rows")
        return self


PointSource = Annotated[TablePoints | UploadPoints | RunPoints, Field(discriminator="source", title="Points")]


class Holdout(BaseModel):
    """Rows that are not fitted but foreseen: by how far the law is out on them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    largest: int = Field(0, ge=0, le=100_000, description="The rows (or runs, with run_column) with the largest `by`.")
    by: str = Field(
        "C", max_length=formula.LONGEST, description="A column or a formula; C is 6 N D where it is missing."
    )
    where: str | None = Field(
        None, max_length=formula.LONGEST, description="Hold out the rows for which this holds, like N > 1e9."
    )
    may_be_empty: bool = Field(
        False,
        description="Fit all the same while there is no such row yet, as for runs that are still to end.",
        json_schema_extra={"advanced": True},
    )

    @model_validator(mode="after")
    def _reads(self) -> Self:
        condition(self.by, "by")
        condition(self.where, "where")
        if not self.largest and self.where is None:
            raise ValueError("holdout: set largest, to 1 for example, or where")
        return self


class Bootstrap(BaseModel):
    """How often the points are drawn anew, with replacement, and fitted again: that gives the intervals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resamples: int = Field(1000, ge=0, le=100_000, description="0: no intervals.", json_schema_extra={"log": True})
    unit: Literal["row", "run", "setting"] = Field(
        "row", description="What is drawn: rows, runs with all their rows, or settings with all their repetitions."
    )
    level: float = Field(0.95, gt=0.5, lt=1, description="What share of the draws an interval holds.")


class HuberLog(BaseModel):
    """The sum of the Huber loss of ln(measured) - ln(predicted)."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Huber, logarithms")

    name: Literal["huber_log"] = "huber_log"
    delta: float = Field(1e-3, gt=0, le=1e3, description="From here on it is linear.", json_schema_extra={"log": True})


class L1Log(BaseModel):
    """The sum of |ln(measured) - ln(predicted)|."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Least absolute deviations, logarithms")

    name: Literal["l1_log"] = "l1_log"


class LeastSquares(BaseModel):
    """The sum of (measured - predicted)^2."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Least squares")

    name: Literal["least_squares"] = "least_squares"


class LeastSquaresLog(BaseModel):
    """The sum of (ln(measured) - ln(predicted))^2."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Least squares, logarithms")

    name: Literal["least_squares_log"] = "least_squares_log"


Objective: TypeAlias = Annotated[HuberLog | L1Log | LeastSquares | LeastSquaresLog, Field(discriminator="name")]


def rule(points: Points, target: str) -> str:
    """In words, which rows were kept."""
    said = [f"kept where {points.filter}"] if points.filter else []
    if points.drop_highest:
        said.append(f"kept where {target} < its value number {points.drop_highest} from the top")
    return "; ".join(said) or "none: every complete row was fitted"


def facts(objective: Any) -> dict[str, Any]:
    """Name and delta, as a result states them."""
    return {"name": objective.name, "delta": getattr(objective, "delta", None)}
