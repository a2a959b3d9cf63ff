"""AdaLoRA: shares out a budget of ranks to the layers that need them, while training.

    h = W x + (alpha / (n + 1e-5)) B diag(E) A x        n = init_rank; E zero, A and B ~ N(0, 0.02) at first

(Zhang et al. 2023). Sensitivity |w g| of every entry and its uncertainty are averaged over steps (beta1, beta2); a
triplet (a row of A, its E, a column of B) scores E's product plus the means of A's and B's. From `warmup` of the
steps on the E of the lowest scores are set to zero, so that b(t) are left:

    b(t) = target + (init - target) (1 - (t - t_i) / (T - t_f - t_i))^3

and for the last `final` share of the steps the choice is fixed. Beside the loss, orth times the mean of ||A A^T - I||
and ||B^T B - I|| over all matrices is minimised (HF PEFT takes the norm, not its square). Through HF
PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.errors import MethodError
from gpu_jobs.hooks import Penalised
from gpu_jobs.methods.adapters.lora import lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import Tensor

    from gpu_jobs.contracts import Step
    from gpu_jobs.engine.job import Job

PAPER = "https://arxiv.org/abs/2303.10512"
IS_PARTIAL = True
TOLERANCE = 1e-6  # only the triplets that are left are saved: other sums
SCORES = ("exp_avg_ipt", "exp_avg_unc")


class Knobs(AdapterKnobs):
    name: Literal["adalora"]
    target_rank: int = Field(
        4, ge=1, le=4096, description="Ranks per layer at the end, on average.", json_schema_extra={"log": True}
    )
    init_rank: int = Field(
        8, ge=2, le=4096, description="Ranks per layer at the start.", json_schema_extra={"log": True}
    )
    alpha: float = Field(16.0, gt=0, le=65536, description="The update is scaled by alpha / init_rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")
    warmup: float = Field(0.1, ge=0, le=0.9, description="Share of the steps before ranks are taken away.")
    final: float = Field(0.2, ge=0, le=0.9, description="Share of the steps after the choice is made.")
    interval: int = Field(
        1, ge=1, le=10**6, description="Steps between two choices.", json_schema_extra={"advanced": True}
    )
    beta1: float = Field(
        0.85, gt=0, lt=1, description="Memory of the sensitivity.", json_schema_extra={"advanced": True}
    )
    beta2: float = Field(
        0.85, gt=0, lt=1, description="Memory of the uncertainty.", json_schema_extra={"advanced": True}
    )
    orth: float = Field(0.5, ge=0, le=10, description="Weight of the distance of A and B from orthonormal ones.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A, B and E of every adapted layer."""
    values = {f"{layer.name}.E": (knobs.init_rank, 1) for layer in anatomy.layers(knobs.targets)}
    return lowrank(knobs.init_rank, anatomy, knobs.targets) | values


def frozen(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """PEFT holds n as a parameter of every adapted layer."""
    return {f"{layer.name}.n": (1,) for layer in anatomy.layers(knobs.targets)}


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model; `Hooks` knows the steps."""
    from peft import AdaLoraConfig

    if knobs.target_rank >= knobs.init_rank:
        raise MethodError(
            f"method.target_rank must be below method.init_rank: {knobs.target_rank} and {knobs.init_rank}."
        )
    return AdaLoraConfig(
        init_r=knobs.init_rank,
        target_r=knobs.target_rank,
        lora_alpha=knobs.alpha,  # type: ignore[arg-type]  # PEFT means any number
        lora_dropout=knobs.dropout,
        deltaT=knobs.interval,
        beta1=knobs.beta1,
        beta2=knobs.beta2,
        orth_reg_weight=knobs.orth,
        total_step=2**31,
        target_modules=target.pattern,
        fan_in_fan_out=target.fan_in_fan_out,
    )


class Hooks(Penalised):
    """Scores after each step, takes ranks away, and keeps the scores over a resume."""

    def begin(self, job: Job) -> None:
        super().begin(job)
        model: Any = self.model
        self._config: Any = model.active_peft_config
        steps = self.spec.steps
        self._config.total_step = steps
        self._config.tinit, self._config.tfinal = int(self.knobs.warmup * steps), int(self.knobs.final * steps)
        if self._config.tinit >= steps - self._config.tfinal:
            raise MethodError(
                f"method.warmup and method.final leave no step to take ranks away: {self.knobs.warmup} and "
                f"{self.knobs.final} of {steps} steps."
            )
        self._tuner = model.base_model

    def penalty(self) -> Tensor:
        import torch

        distances = []
        for name, value in self.trained().items():
            if ".lora_A." in name or ".lora_B." in name:
                gram = value @ value.T if ".lora_A." in name else value.T @ value
                distances.append(torch.linalg.norm(gram - torch.eye(len(gram), device=gram.device)))
        return self.knobs.orth * torch.stack(distances).mean()  # type: ignore[no-any-return]

    def update(self, step: Step) -> Tensor | None:
        from gpu_jobs.engine.loop import clip

        norm = clip(self.job)
        self.job.optimizer.step()
        self._tuner.update_and_allocate(step.number + 1)  # while the gradients are there
        self.job.optimizer.zero_grad(set_to_none=True)
        return norm

    def _values(self) -> dict[str, Any]:
        """E by layer."""
        return {name.split(".lora_E.")[0]: value for name, value in self.trained().items() if ".lora_E." in name}

    def readings(self) -> dict[str, float | Tensor]:
        """How many triplets are left, of the model and of each layer."""
        ranks = {name.removeprefix("base_model.model."): (e != 0).sum() for name, e in self._values().items()}
        each = {f"rank/{name}": count.float() for name, count in ranks.items()}
        return super().readings() | {"rank/total": sum(each.values())} | each

    def tensors(self) -> dict[str, Tensor]:
        """Both averages of every entry, and which triplets are left."""
        import torch

        found = {
            f"{key}|{name}": value for key in SCORES for name, value in getattr(self._tuner.rankallocator, key).items()
        }
        pattern = self._config.rank_pattern or {}
        return found | {f"pattern|{name}": torch.tensor(kept) for name, kept in pattern.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        patterns: dict[str, list[bool]] = {}
        for key, value in tensors.items():
            kind, _, name = key.partition("|")
            if kind == "pattern":
                patterns[name] = value.tolist()
            else:
                getattr(self._tuner.rankallocator, kind)[name] = value
        self._tuner.rankallocator.ipt = dict(self._tuner.rankallocator.exp_avg_ipt)  # marks them known
        self._config.rank_pattern = patterns or None
