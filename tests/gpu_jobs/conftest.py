"""A bench for real runs, and one finished base model that many tests start from."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from tests.gpu_jobs.training import Bench, Outcome


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are slower on several threads; the processes that tests start inherit it."""
    before, os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS"), "1"
    torch.set_num_threads(1)
    yield
    del os.environ["OMP_NUM_THREADS"]
    if before:
        os.environ["OMP_NUM_THREADS"] = before


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="session")
def base(bench: Bench) -> Outcome:
    """A pretraining run that has ended well."""
    return bench.run()
