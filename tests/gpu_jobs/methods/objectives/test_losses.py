"""The losses against their equations, on logits written by hand, and their gradients against finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gpu_jobs import registry
from gpu_jobs.engine import objective
from gpu_jobs.methods.objectives import consistency, cross_entropy, distillation, dpo, inverted_hinge, remax

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(5, 7, generator=GENERATOR, dtype=torch.float64)
OTHERS = torch.randn(5, 7, generator=GENERATOR, dtype=torch.float64)
TARGETS = torch.tensor([0, 3, 6, 2, 2])


class Fixed(nn.Module):
    """A model that says what it is told to, whatever it reads."""

    def __init__(self, *logits: Tensor) -> None:
        super().__init__()
        self.logits, self.calls = logits, 0

    def forward(self, input_ids: Tensor, **options: Any) -> Any:
        self.calls += 1
        return SimpleNamespace(logits=self.logits[(self.calls - 1) % len(self.logits)])


def knobs(name: str, **values: Any) -> Any:
    return registry.methods("objectives")[name].knobs(name=name, **values)


def batch(rows: int = 2, tokens: int = 4, vocabulary: int = 6) -> dict[str, Tensor]:
    ids = torch.randint(vocabulary, (rows, tokens), generator=torch.Generator().manual_seed(1))
    labels = ids.clone()
    labels[0, 1] = objective.IGNORED
    return {"input_ids": ids, "labels": labels}


def logits(seed: int, rows: int = 2, tokens: int = 4, vocabulary: int = 6) -> Tensor:
    return torch.randn(rows, tokens, vocabulary, generator=torch.Generator().manual_seed(seed))


def test_smoothing_and_z_loss_are_the_equation() -> None:
    spec: Any = None
    given, scored = batch(), logits(2)
    found = cross_entropy.Objective(knobs("cross_entropy", label_smoothing=0.1, z_loss=0.5), spec).loss_sum(
        Fixed(scored), given
    )
    expected = torch.zeros(())
    for row in range(2):
        for place in range(3):
            wanted = int(given["labels"][row, place + 1])
            if wanted == objective.IGNORED:
                continue
            log_p = scored[row, place].log_softmax(-1)
            log_z = scored[row, place].exp().sum().log()
            expected += -0.9 * log_p[wanted] - 0.1 / 6 * log_p.sum() + 0.5 * log_z**2
    torch.testing.assert_close(found, expected)


def test_without_them_it_is_the_plain_cross_entropy() -> None:
    spec: Any = None
    found = cross_entropy.Objective(knobs("cross_entropy"), spec).loss_sum(Fixed(logits(2)), batch())
    torch.testing.assert_close(found, objective.loss_sum(Fixed(logits(2)), batch()))


def test_a_copy_of_the_teacher_has_no_divergence_and_t_squared_keeps_the_gradient() -> None:
    assert float(distillation.soft_divergence(LOGITS, LOGITS, 3.0)) == pytest.approx(0, abs=1e-12)
    small = LOGITS.clone().requires_grad_()
    distillation.soft_divergence(small, OTHERS, 2.0).backward()
    student, teacher = (LOGITS / 2).softmax(-1), (OTHERS / 2).softmax(-1)
    torch.testing.assert_close(small.grad, 2 * (student - teacher))  # T^2 (1 / T) (softmax(s / T) - softmax(t / T))


def test_the_divergence_of_passes_is_symmetric_and_zero_for_equal_ones() -> None:
    one, two = LOGITS.log_softmax(-1), OTHERS.log_softmax(-1)
    torch.testing.assert_close(consistency.divergence(one, two), consistency.divergence(two, one))
    assert float(consistency.divergence(one, one)) == 0
    expected = F.kl_div(two, one, reduction="sum", log_target=True) + F.kl_div(
        one, two, reduction="sum", log_target=True
    )
    torch.testing.assert_close(consistency.divergence(one, two), expected)


def test_two_passes_are_two_cross_entropies_and_their_divergence() -> None:
    spec: Any = None
    one, two = logits(3), logits(4)
    found = consistency.Objective(knobs("consistency", alpha=0.7), spec).loss_sum(Fixed(one, two), batch())
    counts = objective.targets(batch()) != objective.IGNORED
    passes = [scored[:, :-1].flatten(0, 1)[counts].log_softmax(-1) for scored in (one, two)]
    plain = sum(objective.loss_sum(Fixed(scored), batch()) for scored in (one, two))
    torch.testing.assert_close(found, plain + 0.35 * consistency.divergence(*passes))


def test_inverted_hinge_lies_between_0_and_2_and_knows_its_ends() -> None:
    sure = torch.tensor([[50.0, 0, 0], [0, 50.0, 0]], dtype=torch.float64)
    torch.testing.assert_close(
        inverted_hinge.inverted_hinge(sure, torch.tensor([0, 0])), torch.tensor([2.0, 0.0], dtype=torch.float64)
    )
    loss = inverted_hinge.inverted_hinge(LOGITS, TARGETS)
    assert ((loss >= 0) & (loss <= 2)).all()


def test_a_step_on_inverted_hinge_lowers_the_token_and_raises_the_runner_up_most() -> None:
    scores = LOGITS.clone().requires_grad_()
    inverted_hinge.inverted_hinge(scores, TARGETS).sum().backward()
    moved = LOGITS - 0.01 * scores.grad
    change = moved.softmax(-1) - LOGITS.softmax(-1)
    runner_up = LOGITS.scatter(1, TARGETS.unsqueeze(1), -math.inf).argmax(1)
    assert (change.gather(1, TARGETS.unsqueeze(1)) < 0).all()
    assert change.argmax(1).equal(runner_up)


def test_preferences_begin_at_log_2_and_weigh_by_the_sigmoid_of_minus_the_margin() -> None:
    margins = torch.tensor([0.0, 1.5, -2.0], dtype=torch.float64, requires_grad=True)
    loss = dpo.preference_loss(margins, 0.0)
    assert float(loss[0]) == pytest.approx(math.log(2))
    loss.sum().backward()
    torch.testing.assert_close(margins.grad, -torch.sigmoid(-margins.detach()))
    torch.testing.assert_close(dpo.preference_loss(-margins, 0.0) - dpo.preference_loss(margins, 0.0), margins)


def test_the_log_probability_of_an_answer_leaves_the_prompt_and_padding_out() -> None:
    given = batch()
    given["labels"] = torch.tensor([[-100, -100, 3, 1], [-100, 2, -100, -100]])
    scored = logits(5).log_softmax(-1)
    expected = [scored[0, 1, 3] + scored[0, 2, 1], scored[1, 0, 2]]
    torch.testing.assert_close(dpo.answer_log_probs(Fixed(logits(5)), given), torch.stack(expected))


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [("a b c", "a b c", 1.0), ("a b", "c d", 0.0), ("a a b", "a b", 2 * 2 / 5), ("", "a", 0.0)],
)
def test_overlap_is_the_f1_of_words(text: str, reference: str, expected: float) -> None:
    assert remax.reward(knobs("remax"), text, reference) == pytest.approx(expected)


def test_discounts_count_the_tokens_that_still_come() -> None:
    counts = torch.tensor([[False, True, True, True], [False, True, False, False]])
    found = remax.discounted(torch.tensor([2.0, 3.0]), counts, 0.5)
    torch.testing.assert_close(found[counts], torch.tensor([0.5, 1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: distillation.soft_divergence(x, OTHERS, 2.0),
        lambda x: consistency.divergence(x.log_softmax(-1), OTHERS.log_softmax(-1)),
        lambda x: inverted_hinge.inverted_hinge(x, TARGETS).sum(),
        lambda x: dpo.preference_loss(x, 0.1).sum(),
    ],
)
def test_gradients_are_finite_differences(loss: Callable[[Tensor], Tensor]) -> None:
    assert torch.autograd.gradcheck(loss, LOGITS.clone().requires_grad_())
