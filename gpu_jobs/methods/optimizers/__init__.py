"""Update rules.

Contract: `build(knobs, named_parameters) -> torch.optim.Optimizer`; `STATE_BYTES`, bytes of state per trained value.
"""
