"""Which point is next. A file has `build(knobs, search) -> optuna.samplers.BaseSampler`, or its own `propose`."""
