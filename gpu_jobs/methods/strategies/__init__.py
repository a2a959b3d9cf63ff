"""Which of a model's own weights are trained, and how the gradient is made.

Contract: `setup(knobs, model) -> model`, which says with requires_grad what may be trained; `sizes(knobs, anatomy) ->
{name: shape}`, the same for the plan; and, where it takes part in the loop, a class `Hooks(contracts.Hooks)`. A
strategy that can train an adapter instead of the weights has a knob `adapter`. Optional, for the plan:
`flops(knobs, forward, backward) -> int` of a sample, `memory(knobs, parts, anatomy, trained) -> parts`. LR is the
learning rate it likes.
"""
