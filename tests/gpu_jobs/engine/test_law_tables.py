"""Tables as people write them: they are read, or refused with the name of the column."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpu_jobs.engine.laws import cells
from gpu_jobs.errors import DataError
from tests.gpu_jobs.kinds.fits import events, points, result, spec_of

TABLE = points(24)
PLAIN: dict[str, Any] = {"bootstrap": {"resamples": 0}, "polish": 5}
FORMATS: dict[str, Callable[[float], str]] = {
    "millions": lambda n: f"{n / 1e6!r}M",
    "spaced": lambda n: f"{n / 1e9!r} B",
    "commas": lambda n: f'"{n:,.6f}"',
    "apostrophes": lambda n: f"{n:,.6f}".replace(",", "'"),
}


def lines(between: str, number: Callable[[float], str] = repr, header: str = "N,D,loss") -> str:
    rows = [between.join((number(n), repr(d), repr(y))) for n, d, y in zip(*TABLE.values(), strict=True)]
    return "\n".join([header.replace(",", between), *rows]) + "\n"


def fitted(file: Path, **points: Any) -> dict[str, float]:
    source = {"source": "upload", "upload": 1, **points}
    asked = {"kind": "scaling_fit", "law": {"name": "chinchilla"}, "points": source, **PLAIN}
    return dict(result(asked, file.parent, file)["parameters"])


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    return dict(result(spec_of(TABLE, **PLAIN), tmp_path_factory.mktemp("expected"))["parameters"])


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("semicolons", lines(";").encode()),
        ("tabs", lines("\t").encode()),
        ("bars", lines("|").encode()),
        ("mark of utf-8", lines(",").encode("utf-8-sig")),
        ("utf-16", lines("\t").encode("utf-16")),
        ("lines of Windows", lines(",").replace("\n", "\r\n").encode()),
        ("empty lines", lines(",").replace("\n", "\n\n,,\n").encode()),
        ("spaces in the header", lines(",", header=" N , D ,loss ").encode()),
        ("a separator behind each row", lines(";").replace("\n", ";\n").encode()),
        ("decimal commas", lines(";").replace(".", ",").encode()),
        *((name, lines(",", number).encode()) for name, number in FORMATS.items()),
    ],
)
def test_a_table_is_read_however_it_is_written(
    name: str, raw: bytes, expected: dict[str, float], tmp_path: Path
) -> None:
    file = tmp_path / "points.csv"
    file.write_bytes(raw)
    assert fitted(file) == pytest.approx(expected, rel=2e-3)


def test_headers_with_units_stand_in_backquotes(expected: dict[str, float], tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    file.write_text(lines(";", lambda n: repr(n / 1e6), "Params (M),D [tokens],Val. loss"))
    compute = {"N": "`Params (M)` * 1e6", "D": "`D [tokens]`", "loss": "`Val. loss`"}
    assert fitted(file, compute=compute) == pytest.approx(expected, rel=2e-3)


def test_sizes_as_text_are_filtered_as_text_and_computed_as_numbers(tmp_path: Path) -> None:
    """`size == '70M'` compares text; `size > 1e8` and `2 * size` compute."""
    size = ["70M", "160M", "1.4B"] * 8
    table = {**TABLE, "size": size}
    chosen = result(
        spec_of(table, points={"filter": "size == '70M'"}, law={"name": "power", "x": "D"}, **PLAIN), tmp_path
    )
    assert chosen["points"]["used"] == 8
    larger = spec_of(table, points={"filter": "size > 1e8", "compute": {"C": "2 * size"}}, **PLAIN)
    assert set(result(larger, tmp_path)["points"]["columns"]["C"]) == {3.2e8, 2.8e9}


def test_missing_cells_are_dropped_and_counted(tmp_path: Path) -> None:
    table: dict[str, list[Any]] = dict(TABLE)
    table["loss"] = ["NA", " ", "n/a", "-", "nan", None, *table["loss"][6:]]
    told = result(spec_of(table, **PLAIN), tmp_path)
    assert (told["outliers"]["incomplete"], told["points"]["used"]) == (6, 18)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("", "upload is empty"),
        ("\n\n", "upload is empty"),
        ("N,D,loss,loss\n1,2,3,4\n", "'loss' stands 2 times"),
        ("N,D,loss\n1,2\n", "row 2 of the upload has 2 values, the header 3"),
        ("N,D,loss\n1,2,3\n1,2,3,4\n", "row 3 of the upload has 4 values"),
        ("N,D,loss\n1,2,about 3\n", "'loss' must hold numbers, not 'about 3'"),
        ("N;D;loss\n1;2;1,234\n", "'loss' has '1,234', a fraction or thousands"),
        ("N,D\n1,2\n", "no column 'loss'"),
        ("N,D,loss\n", "no row has a value"),
        ("\x00\x01\n", "no"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_column_or_row(raw: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    file.write_text(raw)
    source = {"source": "upload", "upload": 1}
    failed: Any = events(
        {"kind": "scaling_fit", "law": {"name": "chinchilla"}, "points": source, **PLAIN}, tmp_path, file
    )[-1]
    assert (failed.type, failed.error) == ("failed", "DataError")
    assert said in failed.message


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    file.write_bytes(b"N,D\n\xff\xfe\xfa\n")
    with pytest.raises(DataError, match="no CSV file"):
        cells.read(file)


@pytest.mark.parametrize(
    ("values", "read"),
    [
        (["1,234,567", "12"], [1234567, 12]),
        (["1.234.567,5", "1,5"], [1234567.5, 1.5]),
        (["1 234 567", "2\u00a0000"], [1234567, 2000]),
        (["3,14", "2,718"], [3.14, 2.718]),
        (["1,234", "0.5"], [1234, 0.5]),
        (["1e9", "2.5E-3", "-7"], [1e9, 2.5e-3, -7]),
        (["70M", "1.4 B", "2k", "0.5T", "3e2"], [7e7, 1.4e9, 2000, 5e11, 300]),
        ([None, "", "?", 4.0], [math.nan, math.nan, math.nan, 4]),
    ],
)
def test_numbers_are_read_as_they_are_written(values: list[Any], read: list[float]) -> None:
    assert cells.numbers(values, "x") == pytest.approx(read, nan_ok=True)


@pytest.mark.parametrize("cell", ["70 tokens", "12%", "1,2,3", "7-8", "0x10", "1..2", "abc"])
def test_what_is_no_number_names_its_column(cell: str) -> None:
    with pytest.raises(DataError, match="'x'"):
        cells.numbers([cell, "1"], "x")


@pytest.mark.parametrize("bad", [0.0, -2.0])
def test_a_target_that_has_no_logarithm_names_itself(bad: float, tmp_path: Path) -> None:
    table = {**TABLE, "loss": [bad, *TABLE["loss"][1:]]}
    failed: Any = events(spec_of(table, **PLAIN), tmp_path)[-1]
    assert "loss must be positive for an objective of logarithms" in failed.message
    squares = {**PLAIN, "objective": {"name": "least_squares"}}
    assert result(spec_of(table, **squares), tmp_path)["points"]["used"] == 24


@pytest.mark.parametrize("bad", [0.0, -1e8])
def test_a_size_without_a_power_is_refused(bad: float, tmp_path: Path) -> None:
    table = {**TABLE, "N": [bad, *TABLE["N"][1:]]}
    failed: Any = events(spec_of(table, **PLAIN), tmp_path)[-1]
    assert failed.type == "failed"
    assert f"N must be positive, its least value is {bad:g}" in failed.message
