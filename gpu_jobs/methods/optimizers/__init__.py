"""Update rules.

Contract: `build(knobs, named_parameters) -> torch.optim.Optimizer` over those that require a gradient;
`state_bytes(knobs, shapes) -> int`, the bytes that it keeps for weights of these names and shapes, without counters.
A group of the optimizer with an "lr_factor" is given that many times the rate of the schedule. `NEEDS_WHOLE_MATRICES =
True` where the rule is not one for each value alone: FSDP, which leaves each GPU some rows, is then refused.
"""

from __future__ import annotations

from pydantic import Field

from gpu_jobs import registry


class BesideAdamW(registry.Knobs):
    """Knobs of a rule for hidden matrices, which leaves all other weights to AdamW."""

    rest_factor: float = Field(
        1.0,
        gt=0,
        le=1000,
        description="AdamW's rate for embeddings, output layers, norms and biases, times lr.",
        json_schema_extra={"log": True},
    )
    rest_beta1: float = Field(
        0.9, ge=0, lt=1, description="AdamW's memory of the gradient.", json_schema_extra={"advanced": True}
    )
    rest_beta2: float = Field(
        0.95, ge=0, lt=1, description="AdamW's memory of its square.", json_schema_extra={"advanced": True}
    )
    rest_eps: float = Field(
        1e-8,
        gt=0,
        le=1,
        description="Keeps AdamW's division finite.",
        json_schema_extra={"advanced": True, "log": True},
    )
