"""Which of a model's own weights are trained, and how.

Contract: `setup(knobs, model) -> model`; `is_trainable(knobs, name) -> bool`, for the plan.
"""
