"""Studies with rules of their own. A file has `Knobs`, `Result` and two functions:

`plan(knobs, base) -> list[Planned]`, the sweeps to make of a base job spec; it raises Invalid when something is
missing. `analyse(knobs, rows, series, labels) -> Result`, a pure function of the runs of all these sweeps, whatever
their order: `series(run, metric)` gives the points, `labels[sweep]` which part of the study a sweep is
(planning.Planned.labels).

Optional: `KIND`, the kind of job that it needs. `BASE`, a base spec's fields besides model and data, where it must
be of this kind. `follow_up(knobs, rows, labels) -> list[Planned]`, sweeps that can be made of what the runs have left,
once all others are over; FOLLOW_UP is what the button says.
"""
