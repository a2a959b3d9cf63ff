"""Which weights go. Larger scores are kept.

Contract: `Knobs(prunable.PruningKnobs)`, and one of

    score(knobs, layer) -> Tensor          (out, in), of one layer: `layer` is an `engine.pruning.layers.Layer` with its
                                           weight, statistics of its inputs as NEEDS says, and a generator
    scores(knobs, model, batches, loss_sum) -> {name: Tensor}
                                           of the whole model at once, (out, in) each: `batches` are those of the
                                           calibration, on the model's device, and `loss_sum(model, batch)` is the
                                           loss summed over the targets
    Hooks                                  of a training that learns the masks (`contracts.Hooks`), which `found()`
                                           tells: {name: (out, in) bool}; `setup(knobs, model)` says what is trained
    blocks(knobs, block) -> float          of a whole block, given its inputs and outputs

Optional:

    update(knobs, layer, choose) -> (weight, mask)
                                           where the weights that stay are changed, too: `choose(scores)` says which
                                           of a matrix of scores are kept, by the pattern and the layer's share

Constants: NEEDS, what is gathered of a layer's inputs: "norms" (in,), the root of the summed squares, or "hessian"
(in, in), X X^T; SCOPE, where weights are compared: "row" (the inputs of one output) or "matrix"; PATTERNS, those that
it can do; IS_ORDER_FREE = False where the score depends on what was pruned before.
"""
