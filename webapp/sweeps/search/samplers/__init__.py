"""Which point is next. A file has one of

- `build(knobs, problem, told) -> optuna.samplers.BaseSampler`, with REMEMBERS, how many closed trials it is told
  (None: all; less is faster), KEEPS_BEST, how many of them are the best, and TRIES, how many of its points may be
  refused by a constraint, or known, before random ones are looked at, so that a question always ends;
- `candidates(knobs, problem, tried) -> Iterator[params]`: points in its own order, of which the first new one that
  meets the constraints is taken; `tried` is how many trials there are;
- `propose(knobs, search, objectives, history, count) -> list[Point]`: everything by itself;

and may have `check(search, spec) -> list[FieldError]`: what it can't search, `listed(knobs) -> points` where these are
all that it ever tries, and DONE, the sentence (less its end) for when all are tried.
"""
