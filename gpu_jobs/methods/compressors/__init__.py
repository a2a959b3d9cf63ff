"""What form a trained model gets so that it is smaller: factors, codes, shared weights, fewer tokens.

Contract: `Knobs(registry.Knobs)`, and

    compress(knobs, subject) -> compressible.Done
                                           changes `subject.bare` (an `engine.shrinking.Subject`) on its device, and
                                           says of each layer what was done to it

Optional:

    check(knobs, anatomy)                  raises MethodError, naming the field, for a model that it can't be done to;
                                           called before a job is queued, too
    Hooks(knobs, model, spec, teacher)     of a training that the new form is learned by (`contracts.Hooks`): `teacher`
                                           is the model as it came

Constants: NEEDS = "outputs" where calibration samples pass the model; RETRAINS, what a retraining may train: "weights"
(not by an adapter, which would have to be merged into what is no plain matrix any more), "adapters" (then the merged
weights are compressed again, see `engine.compressing`), or "nothing"; without it, anything.

Layers of another form are modules of `engine.compressed`, which saves and loads them.
"""
