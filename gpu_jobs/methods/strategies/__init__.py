"""Which of a model's own weights are trained, and how the gradient is made.

Contract: `setup(knobs, model) -> model`, which says with requires_grad what may be trained; `sizes(knobs, anatomy) ->
{name: shape}`, the same for the plan; and, where it takes part in the loop, a class `Hooks(contracts.Hooks)`. A
strategy that can train an adapter instead of the weights has a knob `adapter` (`adaptable.AdaptableKnobs`). What
`setup` draws comes from the run's seed.

Optional, for the plan:

    flops(knobs, forward, backward) -> int            of a sample, where the model is called otherwise than once each
    backward(knobs, anatomy, trained, flops) -> (through, made)
                                                      the share of the model that the gradient goes back
                                                      through, and the FLOPs of the gradients of weights, of
                                                      which `flops(shapes)` says those of these matrices: both
                                                      as expected of a step
    values(knobs, trained) -> int                     how many values are trained, where it is not all of these weights
    optimized(knobs, anatomy, trained) -> shapes      what the optimizer keeps state of, if not what is trained
    memory(knobs, parts, anatomy, trained) -> parts   other bytes
    replaced(knobs, anatomy) -> names                 weights that the method takes out of the model
    beside(knobs, anatomy) -> shapes                  the model's own weights that are trained beside its adapter

Constants: LR, the learning rate it likes; IS_PARTIAL, a step doesn't train everything; IS_SIDE, the base stays as it is
and only what was added is saved; PARALLEL, the values of spec.parallel that it can run with on several GPUs;
IS_FORWARD_ONLY, it never goes backward (`perturbation.ProbingHooks`): the plan has no gradients and no optimizer state;
IS_PRUNING, it removes weights by itself, so that it can't retrain what was pruned before; ENDS_PLAIN, `finish` makes
the job's model a plain one of the adapter that was trained.
"""
