"""Mixture-of-Recursions: one stack of blocks, used up to N times; a router decides how often for each token.

    expert choice   g = sigmoid(w_r . h_r),  the k_r = max(1, floor(c_r T)) highest of those still in go on:
                    h_{r+1} = h_r + alpha g f(h_r),  all others keep h_r
    token choice    g = softmax(W h_1) decides each token's depth i = argmax g once:
                    h_{r+1} = alpha g_r f(h_r) (+ h_1 in its last recursion)

(Bae et al. 2025.) f is the shared stack with its own residuals; it attends among the tokens that are still in only. The
capacity c_r falls evenly from 1 to `capacity`. With sharing middle_cycle a first and a last block of their own stand
around the shared ones.

Choosing the k highest of a sequence looks at tokens to come. So the training teaches, by cross-entropy against what was
chosen, the router itself (`auxiliary` router_loss) or a second one on the detached stream (aux_router) to tell alone
whether a token is in, and in evaluation that decides (score above a half): a later token then changes nothing before
it. A recursion with capacity 1 takes all. The authors' released code goes on choosing the k highest in evaluation.

The rules of expert choice are those of the authors' code. Unchecked against the paper: the equation of token choice,
and the defaults of alpha and of the weights of the auxiliary losses. Sharing keys and values of the first recursion is
not built. Token choice computes all recursions for all tokens and masks, so it saves no time here.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from gpu_jobs.methods.architectures import ADVANCED, Sizes
from gpu_jobs.shapes import Config, Shapes, decoder_layer, text_model

PAPER = "https://arxiv.org/abs/2507.10524"
TASKS = ("causal_lm", "sequence_classification")


class Knobs(Sizes):
    name: Literal["mor"]
    layers: int = Field(2, ge=1, le=256, description="Blocks of the shared stack; middle_cycle adds two of its own.")
    recursions: int = Field(3, ge=1, le=32, description="How often a token can pass the shared stack, N.")
    sharing: Literal["middle_cycle", "cycle"] = Field(
        "middle_cycle", description="middle_cycle keeps the first and the last block apart; cycle shares all."
    )
    router: Literal["expert_choice", "token_choice", "none"] = Field(
        "expert_choice", description="Who decides on the recursions; with none every token takes all, without gates."
    )
    capacity: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Expert choice: share of the tokens that the last recursion works on. Empty: 1 / recursions.",
    )
    capacity_warmup: int = Field(
        0,
        ge=0,
        le=100_000_000,
        description="Expert choice: forward passes over which the capacity falls from 1, along a cosine.",
        json_schema_extra=ADVANCED,
    )
    alpha: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Factor on the gate. Empty: 0.1 for expert choice, 1 for token choice.",
        json_schema_extra=ADVANCED,
    )
    auxiliary: Literal["router_loss", "aux_router"] = Field(
        "router_loss", description="Expert choice: who learns to decide without seeing later tokens."
    )
    auxiliary_weight: float = Field(0.001, ge=0, le=10, description="Expert choice: weight of that loss.")
    balance: float = Field(0.1, ge=0, le=10, description="Token choice: weight of the loss for equally used depths.")
    z_loss: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Weight of the squared logsumexp of the router's scores.",
        json_schema_extra=ADVANCED,
    )


def config(knobs: Knobs, *, vocab_size: int, labels: int | None) -> dict[str, Any]:
    """The fields of config.json."""
    names = ("recursions", "sharing", "router", "capacity_warmup", "auxiliary", "auxiliary_weight", "balance", "z_loss")
    last = 1 / knobs.recursions if knobs.capacity is None else knobs.capacity
    alpha = knobs.alpha or (0.1 if knobs.router == "expert_choice" else 1.0)
    own = {name: getattr(knobs, name) for name in names} | {"capacity": last, "alpha": alpha}
    return knobs.fields(vocab_size=vocab_size, labels=labels) | own


def shapes(config: Config, task: str) -> Shapes:
    """Every weight; the shared stack stands once."""
    width, stack = config["hidden_size"], Shapes()
    for place, count in (("first", _own(config)), ("cycle", config["num_hidden_layers"]), ("last", _own(config))):
        for layer in range(count):
            stack |= decoder_layer(f"model.stack.{place}.{layer}", config)
    if config["router"] == "token_choice":
        stack["model.stack.routers.0.weight"] = (config["recursions"], width)
    if config["router"] == "expert_choice":
        second = ["samplers"] * (config["auxiliary"] == "aux_router")
        names = [f"model.stack.{kind}.{r}.weight" for kind in ["routers", *second] for r in range(config["recursions"])]
        stack |= dict.fromkeys(names, (1, width))
    return text_model(config, task, stack)


def capacities(config: Config) -> list[float]:
    """Share of the tokens in each recursion, when nothing is warming up."""
    count, last = config["recursions"], config["capacity"]
    return [1 - (1 - last) * number / (count - 1) for number in range(count)] if count > 1 else [last]


def active(share: float, length: int) -> int:
    """Tokens of a sequence that a recursion with this capacity works on."""
    return max(1, int(share * length + 1e-9))


def passes(config: Config, name: str, length: int) -> float:
    """Recursions of the average token in the shared stack; a router sees the tokens of the recursion before it."""
    working = [tokens / length for tokens in _working(config, length)]
    if ".cycle." in name:
        return sum(working)
    if ".routers." in name or ".samplers." in name:
        number = int(name.partition("ers.")[2].split(".")[0])
        return working[max(0, number - 1)] if number else 1
    return 1


def attended(config: Config, length: int) -> float:
    """k^2 in each recursion."""
    shared = config["num_hidden_layers"] * sum(tokens**2 for tokens in _working(config, length))
    return float(shared + 2 * _own(config) * length**2)


def classes() -> dict[str, Any]:
    """transformers' classes of it."""
    from gpu_jobs.engine.architectures.mor import CLASSES

    return CLASSES


def _own(config: Config) -> int:
    return 1 if config["sharing"] == "middle_cycle" else 0


def _working(config: Config, length: int) -> list[int]:
    if config["router"] != "expert_choice":
        return [length] * config["recursions"]
    return [active(share, length) for share in capacities(config)]
