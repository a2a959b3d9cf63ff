"""Which weights go. Larger scores are kept.

Contract: `Knobs(prunable.PruningKnobs)`, and one of

    score(knobs, layer) -> Tensor          (out, in), of one layer: `layer` is an `engine.pruning.layers.Layer` with its
                                           weight, statistics of its inputs as NEEDS says, and a generator
    scores(knobs, model, batches, loss_sum, layers) -> {name: Tensor}
                                           of the whole model at once, (out, in) each: `batches` are those of the
                                           calibration, on the model's device, `loss_sum(batch)` is the model's loss
                                           summed over the targets, and `layers` are those to be scored, by name.
                                           With a knob `rounds`, it is asked again after each share that went
    Hooks(knobs, model, spec)              of a training that learns what goes (`contracts.Hooks`). When it has ended,
                                           by `finish`, the model is plain again, and `found()` tells the masks, {name:
                                           (out, in) bool}, or where structured `units()` what stays, an `engine.
                                           pruning.structured.Units`. `setup(knobs, model, layers) -> model` says
                                           what is trained, in place: `layers` are those to be pruned, by name, with
                                           what `needs(knobs)` says of their inputs, where the file has it
    blocks(knobs, pairs, number, count) -> float
                                           of block `number` of `count`: pairs of what batches were before and after
                                           it, (tokens, width) each; infinite where it must stay

Optional:

    update(knobs, layer, choose) -> (weight, mask)
                                           where the weights that stay are changed, too: `choose(scores)` says which
                                           of a matrix of scores are kept, by the pattern and the layer's share

Constants: NEEDS, what is gathered of a layer's inputs: "norms" (in,), the root of the summed squares, or "hessian"
(in, in), X X^T; SCOPE, where weights are compared: "row" (the inputs of one output) or "matrix"; PATTERNS, those that
it can do; UNITS, what it can judge where structured.
"""
