"""Which point is next. A file has one of

- `build(knobs, problem, told) -> optuna.samplers.BaseSampler`, with REMEMBERS, how many closed trials it is told
  (None: all; less is faster), and KEEPS_BEST, how many of them are the best;
- `candidates(knobs, problem, tried) -> Iterator[params]`: points in its own order, of which the first new one that
  meets the constraints is taken; `tried` is how many trials there are;
- `propose(knobs, search, objectives, history, count) -> list[Point]`: everything by itself;

and may have `check(search, spec) -> list[FieldError]`: what it can't search.
"""
