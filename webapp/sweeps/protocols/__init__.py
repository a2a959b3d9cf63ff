"""Studies with rules of their own. A file has `Knobs`, `Result` and two functions:

`plan(knobs, base) -> list[Planned]`, the sweeps to make of a base job spec; it raises Invalid when something is
missing. `analyse(knobs, rows, series, labels) -> Result`, a pure function of the runs of all these sweeps, whatever
their order: `series(run, metric)` gives the points, `labels[sweep]` which part of the study a sweep is
(planning.Planned.labels).
"""
