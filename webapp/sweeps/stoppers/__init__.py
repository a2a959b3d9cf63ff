"""When a trial is stopped early. A file has `decide(knobs, trial, others) -> Decision | None` (None: it goes on).

`decide` is a pure function, called each time a trial that trains has new points. Values are such that less is better.
A decision's `reason` is a clause that stands behind "Stopped early:".
"""
