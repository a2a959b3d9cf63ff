"""A stack of blocks made a model of transformers: embeddings below it, and the head of a task on top."""

# mypy: disable-error-code="no-untyped-call"
# transformers annotates little of what is built on here.

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.generation.utils import GenerationMixin
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.vit.modeling_vit import ViTEmbeddings
from transformers.utils.generic import ModelOutput

from gpu_jobs.engine.architectures.blocks import Attending, Config, last_norm


@dataclass
class Hidden(ModelOutput):
    last_hidden_state: Tensor | None = None
    auxiliary_loss: Tensor | None = None


@dataclass
class Output(ModelOutput):
    """`loss`, where labels are given, is of the targets alone; `auxiliary_loss` is the routers', weighted."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    auxiliary_loss: Tensor | None = None


class Architecture(PreTrainedModel):
    """What trunks and heads share. A module with a method `initialise` draws its own weights."""

    config_class = Config
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules: list[str] = []

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, ViTEmbeddings):
            init.trunc_normal_(module.position_embeddings, std=self.config.initializer_range)
            init.trunc_normal_(module.cls_token, std=self.config.initializer_range)
        elif hasattr(module, "initialise"):
            module.initialise()  # type: ignore[operator]

    def readings(self) -> dict[str, Tensor]:
        """What the routers did in the training forwards since the last call; {} when there were none.

        Names are those of the stack ("router/depth"); values are scalars where the model is, so that nobody waits.
        """
        found: dict[str, Tensor] = self.model.readings()
        return found


class Trunk(Architecture):
    """Embeddings, the stack, and the last norm."""

    stack_class: type[nn.Module]

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.stack = self.stack_class(config)
        self.norm = last_norm(config)
        self._counts: Tensor | None = None
        self.gradient_checkpointing = False

    def readings(self) -> dict[str, Tensor]:
        counts, self._counts = self._counts, None
        return {} if counts is None else self.stack.readings(counts)  # type: ignore[operator]

    def _through(self, x: Tensor, attending: Attending) -> Hidden:
        x, auxiliary_loss, counts = self.stack(x, attending)
        if self.training and counts is not None:
            counts = counts.detach().double()
            self._counts = counts if self._counts is None else self._counts + counts
        return Hidden(last_hidden_state=self.norm(x), auxiliary_loss=auxiliary_loss)


class TextTrunk(Trunk):
    """A decoder's: token embeddings and rotary positions."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.rotary_emb = LlamaRotaryEmbedding(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        **ignored: Any,
    ) -> Hidden:
        """All (batch, tokens). attention_mask: 0 for padding; position_ids begin at 0 again where another text does."""
        x = self.embed_tokens(input_ids)
        order = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
        cos, sin = self.rotary_emb(x, order if position_ids is None else position_ids)
        real = None if attention_mask is None else attention_mask.bool()
        documents = None if position_ids is None else (position_ids == 0).cumsum(1)
        return self._through(x, Attending(cos, sin, order, real, documents))


class ImageTrunk(Trunk):
    """A ViT's: patches, a class token and learned positions; all tokens see each other."""

    main_input_name = "pixel_values"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.embeddings = ViTEmbeddings(config)  # type: ignore[arg-type]  # it has the fields that are read
        self.post_init()

    def forward(self, pixel_values: Tensor, **ignored: Any) -> Hidden:
        """pixel_values: (batch, channels, height, width)."""
        x = self.embeddings(pixel_values)
        still = x.new_ones(*x.shape[:2], self.config.head_dim)  # turned by an angle of 0
        return self._through(x, Attending(still, torch.zeros_like(still), None))

    def get_input_embeddings(self) -> nn.Module:
        found: nn.Module = self.embeddings.patch_embeddings
        return found


class CausalLM(Architecture, GenerationMixin):
    """Predicts the next token. Generating computes all tokens anew each time: there is no cache."""

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}
    trunk_class: type[Trunk]

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.model = self.trunk_class(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None, **more: Any
    ) -> Output:
        """logits: (batch, tokens, vocabulary)."""
        hidden = self.model(input_ids, attention_mask=attention_mask, **more)
        logits = self.lm_head(hidden.last_hidden_state)
        loss = (
            None if labels is None else F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
        )
        return Output(loss=loss, logits=logits, auxiliary_loss=hidden.auxiliary_loss)

    def prepare_inputs_for_generation(  # type: ignore[override]
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **ignored: Any
    ) -> dict[str, Any]:
        return {"input_ids": input_ids, "attention_mask": attention_mask}


class SequenceClassifier(Architecture):
    """Classifies a text by its last token that is not padding."""

    trunk_class: type[Trunk]

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.model = self.trunk_class(config)
        self.score = nn.Linear(config.hidden_size, config.num_labels or 2, bias=False)
        self.post_init()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None, **more: Any
    ) -> Output:
        """logits: (batch, classes)."""
        hidden = self.model(input_ids, attention_mask=attention_mask, **more)
        scores = self.score(hidden.last_hidden_state)  # (batch, tokens, classes)
        real = input_ids != self.config.pad_token_id if attention_mask is None else attention_mask.bool()
        last = (real * torch.arange(scores.shape[1], device=scores.device)).argmax(1)
        logits = scores[torch.arange(len(scores), device=scores.device), last]
        loss = None if labels is None else F.cross_entropy(logits.float(), labels)
        return Output(loss=loss, logits=logits, auxiliary_loss=hidden.auxiliary_loss)


class ImageClassifier(Architecture):
    """Classifies an image by the class token."""

    main_input_name = "pixel_values"
    trunk_class: type[Trunk]

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.model = self.trunk_class(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels or 2)
        self.post_init()

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None, **ignored: Any) -> Output:
        """logits: (batch, classes)."""
        hidden = self.model(pixel_values)
        logits = self.classifier(hidden.last_hidden_state[:, 0])
        loss = None if labels is None else F.cross_entropy(logits.float(), labels)
        return Output(loss=loss, logits=logits, auxiliary_loss=hidden.auxiliary_loss)


HEADS: dict[str, tuple[type[Architecture], type[Trunk], str]] = {
    "causal_lm": (CausalLM, TextTrunk, "ForCausalLM"),
    "sequence_classification": (SequenceClassifier, TextTrunk, "ForSequenceClassification"),
    "image_classification": (ImageClassifier, ImageTrunk, "ForImageClassification"),
}


def classes(name: str, config: type[Config], stack: type[nn.Module], tasks: tuple[str, ...]) -> dict[str, type]:
    """transformers' classes of an architecture called `name`: "config", "model" (of text), and one for each task."""
    trunks: dict[type[Trunk], type] = {}
    found: dict[str, type] = {"config": config}
    for task in tasks:
        head, trunk, ending = HEADS[task]
        if trunk not in trunks:
            called = name + ("ImageModel" if trunk is ImageTrunk else "Model")
            trunks[trunk] = type(called, (trunk,), {"config_class": config, "stack_class": stack})
        found[task] = type(name + ending, (head,), {"config_class": config, "trunk_class": trunks[trunk]})
    return found | {"model": trunks[TextTrunk]}
