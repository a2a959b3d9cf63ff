"""Whole units taken out, so that the model really becomes smaller and transformers loads it as any other.

    ffn      channels of the feed-forward layers: a row of what goes in (gate and up, where there are two) and the
             column of what comes out
    heads    attention heads with their key/value group, for a llama: its config holds the size of a head apart
    blocks   transformer blocks

As many go from every block, since a config holds one width for all.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from gpu_jobs import registry
from gpu_jobs.engine.pruning import layers, masks, scoring, walk
from gpu_jobs.engine.shrinking.change import Change
from gpu_jobs.engine.shrinking.subject import Subject
from gpu_jobs.errors import MethodError
from gpu_jobs.events import Event, Log
from gpu_jobs.prunable import removed

if TYPE_CHECKING:
    from gpu_jobs.kinds.prune import Spec


class Places(NamedTuple):
    """The layers of a block that a unit has rows and columns of."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]


FFN = {
    "llama": Places(("mlp.gate_proj", "mlp.up_proj"), ("mlp.down_proj",)),
    "gpt2": Places(("mlp.c_fc",), ("mlp.c_proj",)),
    "bert": Places(("intermediate.dense",), ("output.dense",)),
    "vit": Places(("mlp.fc1",), ("mlp.fc2",)),
}
HEADS = {"llama": Places(("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), ("self_attn.o_proj",))}
_WIDTH, _DEPTH = {"gpt2": "n_inner"}, {"gpt2": "n_layer"}  # in config.json, where it is not as in the others


@dataclass
class Units:
    """What stays: of each block by number, in order; None where that kind of unit is left alone."""

    ffn: dict[int, Tensor] | None = None
    heads: dict[int, Tensor] | None = None  # numbers of key/value groups
    blocks: list[int] | None = field(default=None)


@dataclass(frozen=True)
class Group:
    """The units of one kind in one block, `count` of them: equal parts of the rows of some layers, and of the columns
    of others, which are named."""

    kind: str  # "ffn" or "heads"
    block: int
    count: int
    rows: list[str]
    columns: list[str]

    @property
    def name(self) -> str:
        return f"{self.kind}|{self.block}"


def groups(model: Any, unit: str) -> list[Group]:
    """All groups of the kinds that `unit` names, on a model that `check` has passed."""
    at, blocks = _stack(model)
    found = []
    for kind, known in (("ffn", FFN), ("heads", HEADS)):
        for block in range(len(blocks)) if kind in unit else ():
            rows, columns = ([f"{at}.{block}.{name}" for name in names] for names in known[model.config.model_type])
            count = _width(model) if kind == "ffn" else int(model.config.num_key_value_heads)
            found.append(Group(kind, block, count, rows, columns))
    return found


def units_of(groups: Sequence[Group], kept: Mapping[str, Tensor]) -> Units:
    """What stays, by masks (count,) bool of the groups' units."""
    found: dict[str, dict[int, Tensor]] = {}
    for group in groups:
        found.setdefault(group.kind, {})[group.block] = kept[group.name].nonzero()[:, 0].cpu()
    return Units(ffn=found.get("ffn"), heads=found.get("heads"))


def shrink(subject: Subject, spec: Spec, change: Change) -> Generator[Event, None, None]:
    """Scores the units of the spec's kind, and takes the lowest out of the subject's model. Raises MethodError."""
    check(subject.bare, spec.method.unit)
    yield Log(message=f"Scoring {spec.method.unit} by {spec.method.name}.")
    remove(subject, _lowest_out(subject, spec), change)


def check(model: Any, unit: str) -> None:
    """Raises MethodError where the architecture can't lose such units, or has no stack of blocks."""
    kind = model.config.model_type
    for name, places in (("ffn", FFN), ("heads", HEADS)):
        if name in unit and kind not in places:
            raise MethodError(
                f"method.unit {unit!r} is for {' and '.join(places)}, and this is a {kind}: "
                f"choose {'ffn' if name == 'heads' and kind in FFN else 'blocks'}."
            )
    if walk.stack(model) is None:
        raise MethodError(f"structured pruning needs one stack of blocks, and a {kind} has none: choose unstructured.")


def _lowest_out(subject: Subject, spec: Spec) -> Units:
    module, share = registry.method_of(spec.method).module, spec.method.sparsity
    if spec.method.unit == "blocks" and hasattr(module, "blocks"):
        count = len(_stack(subject.bare)[1])
        seen = enumerate(walk.through(subject.bare, subject.batches(), subject.device))
        scores = torch.tensor([module.blocks(spec.method, pairs, number, count) for number, pairs in seen])
        _refuse_protected(scores, removed(share, count))
        return Units(blocks=kept(scores, share, "blocks").tolist())
    found = layers.find(subject.bare, "all", spec.seed)
    values = {name: value.nan_to_num(neginf=0.0) for name, value in scoring.scores(subject, spec, found).items()}
    return chosen(subject.bare, values, spec.method.unit, share)


def _refuse_protected(scores: Tensor, count: int) -> None:
    if count > (free := int(scores.isfinite().sum())):
        raise MethodError(f"method.sparsity asks for {count} blocks, and {free} are not protected: lower either.")


def chosen(model: Any, values: Mapping[str, Tensor], unit: str, share: float) -> Units:
    """What stays by the sum of the scores of all weights of a unit, as many of each block."""
    at, blocks = _stack(model)
    if unit == "blocks":
        sums = [
            sum(float(v.sum()) for n, v in values.items() if n.startswith(f"{at}.{i}.")) for i in range(len(blocks))
        ]
        return Units(blocks=kept(torch.tensor(sums), share, "blocks").tolist())
    units = Units()
    if "ffn" in unit:
        units.ffn = {i: kept(_sums(values, f"{at}.{i}", FFN[model.config.model_type], 1), share, "channels")
                    for i in range(len(blocks))}  # fmt: skip
    if "heads" in unit:
        groups = int(model.config.num_key_value_heads)
        units.heads = {i: kept(_sums(values, f"{at}.{i}", HEADS[model.config.model_type], groups), share, "heads")
                      for i in range(len(blocks))}  # fmt: skip
    return units


def _stack(model: Any) -> tuple[str, nn.ModuleList]:
    found = walk.stack(model)
    assert found is not None
    return found


def _sums(values: Mapping[str, Tensor], at: str, places: Places, groups: int) -> Tensor:
    """The summed score of each unit of a block: of each row and column, or of `groups` equal parts of them."""
    rows = [values[f"{at}.{name}"].sum(1) for name in places.rows]
    parts = rows + [values[f"{at}.{name}"].sum(0) for name in places.columns]
    if groups > 1 or "q_proj" in places.rows[0]:
        parts = [part.view(groups, -1).sum(1) for part in parts]
    return torch.stack([part.cpu() for part in parts]).sum(0)


def refuse_none(share: float, count: int, what: str) -> None:
    """Raises MethodError where no unit of a block would be left."""
    if removed(share, count) >= count:
        raise MethodError(f"method.sparsity is too high: {share:.3g} of {count} {what} leaves none; lower it.")


def kept(scores: Tensor, share: float, what: str) -> Tensor:
    """The numbers of the units that stay, in order. Raises MethodError where none would."""
    refuse_none(share, len(scores), what)
    return (~masks.lowest(scores[None].float(), removed(share, len(scores)))[0]).nonzero()[:, 0]


def remove(subject: Subject, units: Units, change: Change) -> None:
    """Takes all but `units` out of the subject's model, and notes in `change` what share of each layer went."""
    model = subject.bare.cpu()
    before = {name: layer.weight.numel() for name, layer in layers.find(model, "all", 0).items()}
    change.facts["removed"] = _removed(model, units)
    at, _ = _stack(model)
    narrow(model, units)
    after = {name: layer.weight.numel() for name, layer in layers.find(model, "all", 0).items()}
    change.shares = {name: 1 - after[name] / size for name, size in before.items() if after[name] < size}
    if units.blocks is not None:
        change.shares = {name: 1.0 for name in before if _number(name, at) not in units.blocks}
        _drop(model, at, _named(model, at), units.blocks)


def narrow(model: Any, units: Units) -> None:
    """Takes all but these channels and heads out of every block, and tells the config. The model is on the CPU."""
    kind = model.config.model_type
    for number, block in enumerate(_stack(model)[1]):
        if units.ffn is not None:
            _cut(block, FFN[kind], units.ffn[number])
        if units.heads is not None:
            _cut_heads(model.config, block, units.heads[number])
    if units.ffn is not None:
        setattr(model.config, _WIDTH.get(kind, "intermediate_size"), len(units.ffn[0]))
    if units.heads is not None:
        _tell_heads(model.config, len(units.heads[0]))


def _number(name: str, at: str) -> int:
    return int(name.removeprefix(f"{at}.").split(".")[0])


def _removed(model: Any, units: Units) -> float:
    """The share of the units that goes."""
    had: list[tuple[int, int]] = []
    for kept, width in ((units.ffn, _width(model)), (units.heads, getattr(model.config, "num_key_value_heads", 0))):
        had += [(width, len(each)) for each in (kept or {}).values()]
    if units.blocks is not None:
        had = [(len(_stack(model)[1]), len(units.blocks))]
    return 1 - sum(left for _, left in had) / sum(width for width, _ in had)


def _width(model: Any) -> int:
    found = getattr(model.config, _WIDTH.get(model.config.model_type, "intermediate_size"), None)
    return int(found or 4 * model.config.hidden_size)


def _cut(block: nn.Module, places: Places, kept: Tensor) -> None:
    for name in places.rows:
        keep_rows(block.get_submodule(name), kept)
    for name in places.columns:
        keep_columns(block.get_submodule(name), kept)


def _cut_heads(config: Any, block: Any, kept: Tensor) -> None:
    """Rows of q, k and v and columns of o of the key/value groups that stay."""
    groups, head = config.num_key_value_heads, _head_size(config)
    per_group = config.num_attention_heads // groups
    keys = torch.arange(groups * head).view(groups, -1)[kept].flatten()
    queries = torch.arange(groups * per_group * head).view(groups, -1)[kept].flatten()
    for name, rows in (("q_proj", queries), ("k_proj", keys), ("v_proj", keys)):
        keep_rows(block.self_attn.get_submodule(name), rows)
    keep_columns(block.self_attn.o_proj, queries)


def _head_size(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _tell_heads(config: Any, groups: int) -> None:
    per_group = config.num_attention_heads // config.num_key_value_heads
    config.head_dim = _head_size(config)
    config.num_attention_heads, config.num_key_value_heads = groups * per_group, groups


def keep_rows(layer: Any, kept: Tensor) -> None:
    """Of a layer's outputs only these; in place."""
    from transformers.pytorch_utils import Conv1D

    is_transposed = isinstance(layer, Conv1D)
    layer.weight = nn.Parameter(layer.weight.detach().index_select(int(is_transposed), kept), requires_grad=False)
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.detach()[kept], requires_grad=False)
    setattr(layer, "nf" if is_transposed else "out_features", len(kept))


def keep_columns(layer: Any, kept: Tensor) -> None:
    """Of a layer's inputs only these; in place."""
    from transformers.pytorch_utils import Conv1D

    is_transposed = isinstance(layer, Conv1D)
    layer.weight = nn.Parameter(layer.weight.detach().index_select(int(not is_transposed), kept), requires_grad=False)
    setattr(layer, "nx" if is_transposed else "in_features", len(kept))


def _drop(model: Any, at: str, blocks: nn.ModuleList, kept: list[int]) -> None:
    """Only these blocks, numbered anew: a cache is kept by that number."""
    parent, _, name = at.rpartition(".")
    setattr(model.get_submodule(parent), name, nn.ModuleList(blocks[number] for number in kept))
    for number, block in enumerate(_named(model, at)):
        for part in (part for part in block.modules() if hasattr(part, "layer_idx")):
            setattr(part, "layer_idx", number)  # noqa: B010 - its type is not known
    types = getattr(model.config, "layer_types", None)
    setattr(model.config, _DEPTH.get(model.config.model_type, "num_hidden_layers"), len(kept))
    if types:
        model.config.layer_types = [types[number] for number in kept]


def _named(model: Any, at: str) -> nn.ModuleList:
    found: nn.ModuleList = model.get_submodule(at)
    return found
