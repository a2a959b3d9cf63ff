"""Results as facts and tables: nothing that is known is left out, nothing unknown is shown as 0."""

from __future__ import annotations

from webapp.pages.protocols import tables
from webapp.sweeps.measures.outcomes import Outcomes
from webapp.sweeps.protocols import algoperf, d90

SEEN = Outcomes(trials=7, succeeded=4, diverged=2, censored=1)


def test_how_trials_stand_is_told_without_what_never_happened() -> None:
    told = {fact.label: (fact.value, fact.note) for fact in tables.outcome_facts(SEEN)}
    assert told == {"Trials succeeded": ("4", "of 7"), "Diverged": ("2", ""), "Censored": ("1", "")}


def test_a_value_that_could_not_be_measured_is_a_dash_and_short_lists_are_facts() -> None:
    result = d90.Result(outcomes=SEEN, found=None, target=0.72, next=[4, 9])
    told = {fact.label: fact.value for fact in tables.value_facts(result)}
    assert told["Found"] == "–"  # noqa: RUF001 - the dash that stands for nothing
    assert (told["Target"], told["Next"]) == ("0.72", "4, 9")
    assert tables.value_facts(d90.Result()) == []


def test_a_table_has_the_columns_that_say_something_and_no_lists() -> None:
    rows = [algoperf.Score(algorithm=name, score=score, profile=[0, 1]) for name, score in (("a", 1.0), ("b", 0.25))]
    (table,) = tables.tables(algoperf.Result(scores=rows, taus=[1.0] * 61))
    assert (table.title, table.count) == ("Scores", 2)
    assert [(c.label, c.is_number) for c in table.columns] == [("Algorithm", False), ("Score", True)]
    assert [[cell.text for cell in row] for row in table.rows] == [["a", "1"], ["b", "0.25"]]


def test_a_long_table_says_how_long_it_is() -> None:
    rows = [algoperf.Score(algorithm=str(n), score=0.0, profile=[]) for n in range(tables.MOST_ROWS + 5)]
    (table,) = tables.tables(algoperf.Result(scores=rows))
    assert (len(table.rows), table.count) == (tables.MOST_ROWS, tables.MOST_ROWS + 5)


def test_values_are_written_as_people_write_them() -> None:
    written = [tables.written(value) for value in (12345, 0.00012345, True, {"b": 1, "a": 2.5}, ["x", "y"], None, "")]
    assert written == ["12,345", "0.0001234", "yes", "a 2.5, b 1", "x, y", "–", "–"]  # noqa: RUF001
