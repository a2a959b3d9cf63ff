"""The learning rate over the steps of a run.

Contract: `factor(knobs, step, steps) -> float`, what the peak rate is multiplied by in update `step`, counted from
0. Pure: a resumed run needs no state of it.
"""
