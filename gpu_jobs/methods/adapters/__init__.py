"""Small trainable parts beside frozen weights.

Contract: `peft_config(knobs, model)` where HF PEFT has the method, and `sizes(knobs, shapes)`: the names and shapes of
what it trains, for the plan. Otherwise `init(base)`, `forward(base, x, params)` and `merge(weight, params)`.
"""
