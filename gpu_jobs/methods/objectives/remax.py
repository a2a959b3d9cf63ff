"""ReMax: policy gradient whose baseline is the reward of the greedy answer.

    A = r(x, y) - r(x, y_greedy), clipped to +-c;  R_t = gamma^(T - t) A - kl (log pi(y_t) - log ref(y_t))
    L = -sum_t R_t log pi(y_t) / number of tokens

with y sampled after the prompt x (Li et al. 2024): no value network, two generations a
prompt. The reward is a program: `overlap` is the F1 of the answer's words with the reference's, `match` whether the
reference occurs in it, `pattern` whether a regular expression does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from gpu_jobs import contracts, registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.engine.job import Job

PAPER = "https://arxiv.org/abs/2310.10505"
TASKS = ("causal_lm",)
FORMS = ("prompts",)
LR = 1e-5


class Knobs(registry.Knobs):
    name: Literal["remax"]
    reward: Literal["overlap", "match", "pattern"] = Field("overlap", description="What an answer is judged by.")
    pattern: str = Field("", max_length=500, description="The regular expression for reward 'pattern'.")
    max_tokens: int = Field(64, ge=1, le=8192, description="Longest answer, in tokens.")
    temperature: float = Field(1.0, gt=0, le=10, description="Of the sampled answer.")
    top_p: float = Field(0.9, gt=0, le=1, description="The sampled token is among the likeliest that hold this share.")
    kl: float = Field(0.1, ge=0, le=1, description="How strongly the model is held to the reference.")
    clip: float = Field(5.0, ge=0.1, le=100, description="Largest difference of rewards that counts.")
    gamma: float = Field(
        1.0, gt=0, le=1, description="Discount of earlier tokens.", json_schema_extra={"advanced": True}
    )

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"pattern is no regular expression: {error}") from error
        return pattern


class Objective(contracts.Objective):
    """Writes two answers for each prompt and learns from the difference of their rewards."""

    def begin(self, job: Job) -> None:
        from gpu_jobs.engine.reference import Reference

        super().begin(job)
        self.reference = Reference(job) if self.knobs.kl else None
        self.told: dict[str, Any] = {}

    def count(self, batch: contracts.Batch) -> int:
        """Prompts."""
        return len(batch["input_ids"])

    def loss_sum(self, model: nn.Module, batch: contracts.Batch) -> Tensor:
        from gpu_jobs.engine import objective
        from gpu_jobs.engine.generation import whole

        sampled, rewards = self._answer(batch, self.knobs.temperature)
        _, baseline = self._answer(batch, 0.0)
        rows = whole(batch, sampled)
        logp, counts = objective.token_log_probs(objective.logits_of(model, rows), rows["labels"])
        returns = discounted((rewards - baseline).clamp(-self.knobs.clip, self.knobs.clip), counts, self.knobs.gamma)
        if self.reference is not None:
            returns = returns - self.knobs.kl * (logp.detach() - self.reference.of(lambda frozen: _logp(frozen, rows)))
        self.told = {"reward/sampled": rewards.mean(), "reward/greedy": baseline.mean()}
        loss: Tensor = -(returns * logp * counts).sum() / counts.sum() * len(rewards)
        return loss

    def readings(self) -> dict[str, float | Tensor]:
        return self.told

    def judge(self, model: nn.Module, batch: contracts.Batch) -> dict[str, Tensor]:
        """The reward of greedy answers: a prompt alone has no cross-entropy."""
        return {"reward": self._answer(batch, 0.0)[1].double().sum()}

    def _answer(self, batch: contracts.Batch, temperature: float) -> tuple[Any, Tensor]:
        """What the model writes, and the reward (prompts,) of each answer."""
        import torch

        from gpu_jobs.engine.generation import Sampling, write

        tokenizer = self.job.data.tokenizer
        sampling = Sampling(self.knobs.max_tokens, temperature, self.knobs.top_p)
        written = write(self.job.bare, tokenizer, batch, sampling)
        wanted = [[token for token in row if token >= 0] for row in batch["answer_ids"].tolist()]
        references = [tokenizer.decode(row, skip_special_tokens=True) for row in wanted]
        pairs = zip(written.texts(tokenizer), references, strict=True)
        scores = [reward(self.knobs, text, reference) for text, reference in pairs]
        return written, torch.tensor(scores, device=batch["input_ids"].device)


def _logp(model: nn.Module, rows: contracts.Batch) -> Tensor:
    from gpu_jobs.engine import objective

    return objective.token_log_probs(objective.logits_of(model, rows), rows["labels"])[0]


def reward(knobs: Knobs, text: str, reference: str) -> float:
    """Between 0 and 1."""
    if knobs.reward == "pattern":
        return float(re.search(knobs.pattern, text) is not None)
    if knobs.reward == "match":
        return float(bool(reference.strip()) and reference.strip() in text)
    from gpu_jobs.engine.samples import word_f1

    return word_f1(text.split(), reference.split())


def discounted(advantage: Tensor, counts: Tensor, gamma: float) -> Tensor:
    """(rows, tokens) gamma^(tokens that still come) times the row's advantage; `counts` marks the answer's tokens."""
    later = counts.flip(-1).cumsum(-1).flip(-1) - counts.long()
    return advantage.unsqueeze(-1) * gamma ** later.to(advantage.dtype)
