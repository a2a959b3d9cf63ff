"""What a run will need, counted before it is queued: parameters, memory, FLOPs. Free of torch.

Parameters are exact, from the architecture's config. FLOPs count a multiply and an add as two and are those of the
matrix products. Per sample of T tokens, with N the matrix weights that a token passes (the output layer included, the
embedding not), Nt those of them that are trained, L layers and d = heads x head size:

    forward   2 N T + 4 L d T^2
    training  (4 N + 2 Nt) T + 12 L d T^2        6 N T + 12 L d T^2 when all weights are trained

(Kaplan et al. 2020, section 2.1; the attention term as in Chowdhery et al. 2022, appendix B; causal masks are not
halved). Gradient checkpointing adds one forward. Layers used once per sample (poolers, class heads) count once. In a
model of `methods/architectures` a matrix counts as often as a token passes it: an expert for its share of the tokens, a
shared block once for each use.

Memory is explained in `memory.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from gpu_jobs import memory, registry
from gpu_jobs.anatomy import Anatomy, adapter_of
from gpu_jobs.shapes import Config, Shapes, architecture, attention_width, count, layers, parameters, positions, size
from gpu_jobs.sources import new_model
from gpu_jobs.spec import BpeTokenizer, JobSpec, Reading, Training

FORMULA = "6ND + attention: per sample (4N + 2Nt) T + 12 L d T^2"
FORWARD = "2ND + attention: per sample 2N T + 4 L d T^2"
BYTE_VOCAB = 258  # 256 bytes, end of text, padding; a masked token is one more
DIGITS = 10
_BERT_TABLE = "bert.embeddings.word_embeddings.weight"


class Plan(BaseModel):
    """None stands where the architecture is not known before the model is loaded."""

    model_config = ConfigDict(frozen=True)

    parameters: dict[str, int | None]  # total, trainable
    memory: dict[str, int | None]  # weights, gradients, optimizer, activations, total: bytes on one GPU
    flops: dict[str, int | str | None]  # total, per_step, formula
    tokens: int  # that the training reads


def plan(spec: JobSpec, base: Mapping[str, dict[str, Any]] | None = None, *, bf16: bool | None = None) -> Plan:
    """The plan of a spec. `base` maps "run:1" to that run's facts; `bf16` is what precision auto will mean.

    Raises MethodError, with the field to change, where a model is to be made smaller by what doesn't fit it.
    """
    if not isinstance(spec, Reading):
        if not hasattr(spec, "plan"):
            raise TypeError(f"no plan for a {spec.kind} job")
        own: Plan = spec.plan(base or {})
        return own
    config, in_bf16 = config_of(spec, base or {}), getattr(spec, "precision", "fp32") != "fp32"
    if isinstance(spec, Training):
        return plan_for(spec, config, bf16=in_bf16 if bf16 is None else bf16)
    if hasattr(spec, "trainings"):
        from gpu_jobs import phases  # which is built on this module

        phases.check(spec, config)  # type: ignore[arg-type]
        return phases.plan(spec, config, bf16=in_bf16 if bf16 is None else bf16)  # type: ignore[arg-type]
    return plan_evaluation(spec, config)


def plan_evaluation(spec: Any, config: Config | None, *, samples: int | None = None) -> Plan:
    """The plan of a job that trains nothing: weights in float32, one layer's activations at a time, forwards alone.

    Against a second model it holds both and a copy, and passes the samples once more each and at every point between.
    """
    models, passes = (3, 3 + spec.path_points) if getattr(spec, "against", None) else (1, 1)
    shapes = parameters(config, spec.resolved_task) if config else None
    samples = samples or spec.eval_batches * spec.batch_size or None
    if config is None or shapes is None:
        return _unknown(spec, samples)
    length = tokens_per_sample(spec, config)
    per_batch = spec.batch_size * forward_flops(shapes, config, length)
    passing = memory.forward(spec, config, length, samples=spec.batch_size)
    weights = 4 * models * count(shapes)
    held = {"weights": weights, "gradients": 0, "optimizer": 0, "activations": passing}
    total = samples and passes * (per_batch * samples // spec.batch_size)
    return Plan(
        parameters={"total": count(shapes), "trainable": 0},
        memory={**held, "total": None if passing is None else weights + passing},
        flops={"total": total, "per_step": per_batch, "formula": FORWARD},
        tokens=(samples or 0) * length,
    )


def plan_merge(config: Config | None, task: str) -> Plan:
    """The plan of merging into a model of this config: at most two of it at once, whatever the number of experts."""
    shapes = parameters(config, task) if config else None
    total = count(shapes) if shapes else None
    held = None if total is None else 8 * total
    return Plan(
        parameters={"total": total, "trainable": 0},
        memory={"weights": held, "gradients": 0, "optimizer": 0, "activations": None, "total": held},
        flops={"total": None, "per_step": None, "formula": "not counted: weights are added, and models judged"},
        tokens=0,
    )


def plan_for(spec: Training, config: Config | None, *, bf16: bool) -> Plan:
    """The plan for a model of this config, which may be None when it is not known."""
    shapes = parameters(config, spec.resolved_task) if config else None
    if config is None or shapes is None:
        return _unknown(spec)
    length = tokens_per_sample(spec, config)
    trained = trainable(spec, shapes, config)
    kept = remaining(spec, shapes, config)
    total = count(kept | trained | frozen(spec, shapes, config))
    per_step = spec.batch_size * flops_per_sample(spec, kept, trained, config)
    return Plan(
        parameters={"total": total, "trainable": learned(spec, trained)},
        memory=memory.estimate(spec, config, kept, trained, length, bf16=bf16),
        flops={"total": per_step * spec.steps, "per_step": per_step, "formula": _formula(spec)},
        tokens=spec.steps * spec.batch_size * length,
    )


def _unknown(spec: Any, samples: int | None = None) -> Plan:
    """Of a model that only the worker can see; `samples` are those of an evaluation."""
    if samples is None and isinstance(spec, Training):
        samples = spec.steps * spec.batch_size
    return Plan(
        parameters=dict.fromkeys(("total", "trainable")),
        memory=dict.fromkeys(memory.PARTS),
        flops={"total": None, "per_step": None, "formula": _formula(spec) if isinstance(spec, Training) else FORWARD},
        tokens=(samples or 0) * spec.sequence_length,
    )


def _formula(spec: Training) -> str:
    return FORMULA + (" + one forward more" if spec.gradient_checkpointing else "")


def config_of(spec: Reading, base: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
    """The config.json of the spec's model, or None when only the worker can see it."""
    labels = DIGITS if spec.resolved_task == "image_classification" else None
    new = new_model(spec.model)
    if new:
        return new.config(vocab_size=_vocab(spec), labels=labels)
    facts = base.get(spec.model.reference() or "")
    if not facts or facts["model"].get("reshaped"):  # whose config is that of the model it began with
        return None
    return dict(facts["model"]["config"])


def _vocab(spec: Reading) -> int:
    if isinstance(spec.tokenizer, BpeTokenizer):
        return spec.tokenizer.vocab
    return BYTE_VOCAB + (spec.resolved_task == "masked_lm")


def trainable(spec: Training, shapes: Shapes, config: Config) -> Shapes:
    """Name and shape of what the spec's method trains."""
    seen = Anatomy(config, shapes, spec.resolved_task)
    adapter = adapter_of(spec.method)
    module = registry.method_of(spec.method).module
    if adapter is not None:
        beside = module.beside(spec.method, seen) if hasattr(module, "beside") else {}
        return dict(registry.method_of(adapter).module.sizes(adapter, seen)) | seen.head() | dict(beside)
    return dict(module.sizes(spec.method, seen))


def frozen(spec: Training, shapes: Shapes, config: Config) -> Shapes:
    """Parameters that the spec's method adds and does not train."""
    adapter = adapter_of(spec.method)
    module = registry.method_of(adapter or spec.method).module
    if not hasattr(module, "frozen"):
        return {}
    return dict(module.frozen(adapter or spec.method, Anatomy(config, shapes, spec.resolved_task)))


def learned(spec: Training, trained: Shapes) -> int:
    """How many values are trained."""
    module = registry.method_of(spec.method).module
    return int(module.values(spec.method, trained)) if hasattr(module, "values") else count(trained)


def remaining(spec: Training, shapes: Shapes, config: Config) -> Shapes:
    """The model's own weights without those that the spec's method takes out."""
    module = registry.method_of(spec.method).module
    if not hasattr(module, "replaced"):
        return shapes
    gone = module.replaced(spec.method, Anatomy(config, shapes, spec.resolved_task))
    return {name: shape for name, shape in shapes.items() if name not in gone}


def tokens_per_sample(spec: Reading, config: Config) -> int:
    """Tokens that the model works on for one sample; of a text to classify, as if it were full length."""
    return positions(config) if spec.resolved_task == "image_classification" else spec.sequence_length


def flops_per_sample(spec: Training, shapes: Shapes, trained: Shapes, config: Config) -> int:
    """FLOPs of forward and backward for one sample, by the formula of this module."""
    length = tokens_per_sample(spec, config)
    matrices = _matrix_flops(shapes, config, length) + _matrix_flops(_added(shapes, trained), config, length)
    attention = attention_flops(config, length)
    forward, made = matrices + attention, _matrix_flops(trained, config, length)
    passed = matrices + 2 * attention
    if hasattr(registry.method_of(spec.method).module, "backward"):
        through, made = _reach(spec, shapes, trained, config)
        passed = int(through * passed)
    backward = passed + made
    own = getattr(registry.method_of(spec.method).module, "flops", None)
    if own is not None:
        return int(own(spec.method, forward, backward))
    return forward + backward + (forward if spec.gradient_checkpointing else 0)


def _reach(spec: Training, shapes: Shapes, trained: Shapes, config: Config) -> tuple[float, int]:
    """How far a method's backward goes, and the FLOPs of the gradients of weights: see `methods/strategies`."""
    length = tokens_per_sample(spec, config)
    seen = Anatomy(config, shapes, spec.resolved_task)
    through, made = registry.method_of(spec.method).module.backward(
        spec.method, seen, trained, lambda found: _matrix_flops(found, config, length)
    )
    return through, int(made)


def forward_flops(shapes: Shapes, config: Config, length: int) -> int:
    """FLOPs of one sample's forward: 2 N T + 4 L d T^2."""
    return _matrix_flops(shapes, config, length) + attention_flops(config, length)


def attention_flops(config: Config, length: int) -> int:
    """Scores and weighted sum of all layers for one sample: 4 L d T^2."""
    own = architecture(config)
    pairs = own.attended(config, length) if own else layers(config) * length**2
    return round(4 * attention_width(config) * pairs)


def _added(shapes: Shapes, trained: Shapes) -> Shapes:
    return {name: shape for name, shape in trained.items() if name not in shapes}


def _matrix_flops(shapes: Shapes, config: Config, length: int) -> int:
    """2 x weights x times used, over the matrices of one sample's forward."""
    has_head = any(name.startswith(("lm_head", "score", "classifier", "cls.predictions.decoder")) for name in shapes)
    has_head |= not any(name.startswith("cls.predictions") for name in shapes) and _BERT_TABLE in shapes
    uses = {name: _uses(name, length, has_head=has_head) * _passes(config, name, length) for name in shapes}
    return round(sum(2 * size(shape) * uses[name] for name, shape in shapes.items() if len(shape) >= 2))


def _passes(config: Config, name: str, length: int) -> float:
    """How often a token that is there passes a matrix: once, unless an architecture shares or chooses its weights."""
    own = architecture(config)
    return float(own.passes(config, name, length)) if own else 1


def _uses(name: str, length: int, *, has_head: bool) -> int:
    """How often one sample passes a matrix: each token, once, or never (a table that is looked up)."""
    if "patch_embeddings" in name:
        return length - 1
    if name in ("model.embed_tokens.weight", "transformer.wte.weight", _BERT_TABLE):
        return 0 if has_head else length  # without a head of its own, the table is the output layer, too
    if "embeddings" in name or "wpe" in name:
        return 0
    return 1 if name.startswith(("classifier", "bert.pooler")) else length
