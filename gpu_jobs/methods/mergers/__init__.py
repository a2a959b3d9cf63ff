"""How experts of one base become one model.

Contract: `combine(knobs, chunk, state) -> Tensor`, the change that is added to the base, times the method's `scale`:
for a piece of one weight (`deltas.Chunk`: rows of the base, the experts' deltas and weights, all float32), in its
shape. Knobs derive from `deltas.MergerKnobs`.

Optional:

    survey(knobs, stream) -> state      what must be known of whole weights or whole models first, in as many passes
                                        over the pieces (`deltas.Stream`) as need be; `combine` is given it, else None
    codes(knobs, chunk, state) -> list  for a method that compresses: each delta as -1, 0 and 1, int8 in the chunk's
                                        shape; `magnitudes(knobs, state) -> list[float]` says what stands for 1. The run
                                        keeps the codes, packed

Constants: PLAIN, knobs under which a single expert of weight 1 comes out as it went in: without it a method promises
no such thing; SEQUENTIAL, the order of the experts matters; WHOLE, it must be given each matrix between hidden states
whole, not rows of it; DROPS, it drops entries at random, which large deltas do not bear.

What a method draws comes from `Chunk.generator`, so that a run's seed decides it, and each pass sees the same.
"""
