"""What is trained beside a frozen model.

Contract: `sizes(knobs, anatomy) -> {name: shape}`, exactly what is trained (the head not counted), for the plan;
`frozen(knobs, anatomy)`, parameters that are added and not trained, where there are any. Then one of

    peft_config(knobs, target) -> PeftConfig                  where HF PEFT has it; MERGES = False where it can't merge
    init / forward / merge / share                            on layers, see engine/adapters/host.py; on those of the
                                                              knob `targets`, or of `targets(knobs, model_type)`
    attach(knobs, model, anatomy, seed) -> model              where it is more than layers

and, where it changes while it is trained, a class `Hooks(contracts.Hooks)`. LR is the learning rate it likes.
REWRITES says that a LoRA begins with a part of its base: it is saved as what it changed. TOLERANCE is how far the
output of what is saved may be off, 0 unless said. STARTS_AT_BASE = False: the first output is not the base's; then
KEEPS_BASE = False: nor is that with the adapter switched off.
"""
