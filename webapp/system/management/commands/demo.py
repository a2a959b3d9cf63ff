"""`manage.py demo`: a small tour of real runs in the project "tour"."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError

from webapp.accounts import actions as accounts
from webapp.accounts.models import Project
from webapp.runs import actions as runs
from webapp.system.errors import SetupError

SHARED = {"batch_size": 16, "sequence_length": 128, "eval_every": 50, "checkpoint_every": 50, "seed": 0}
BASE = {
    **SHARED,
    "kind": "pretrain",
    "model": {"source": "builtin", "name": "nano"},
    "data": {"source": "builtin", "name": "language-reference"},
    "optimizer": {"name": "adamw", "lr": 3e-3},
    "schedule": {"name": "wsd", "warmup_steps": 20},
    "steps": 300,
}
LORA = {
    **SHARED,
    "kind": "finetune",
    "data": {"source": "builtin", "name": "stdlib-source"},
    "method": {"name": "lora", "rank": 8, "alpha": 16, "targets": "attention"},
    "optimizer": {"name": "adamw", "lr": 1e-3},
    "schedule": {"name": "cosine", "warmup_steps": 10},
    "steps": 200,
}


class Command(BaseCommand):
    help = 'Queues a small tour in the project "tour": pretraining, then full fine-tuning and LoRA on its checkpoint.'

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            admin = accounts.ensure_admin()
        except DatabaseError:
            raise SetupError("Hone does not run here yet: start it with `make up`, then try again.") from None
        project = Project.objects.filter(slug="tour").first() or accounts.create_project(admin, "tour")
        base = runs.submit(project=project, spec=BASE, user=admin, name="nano on the language reference", tags=["tour"])
        start = {"source": "run", "run": base.id}
        full_spec = {**LORA, "model": start, "method": {"name": "full"}}
        full = runs.submit(project=project, spec=full_spec, user=admin, name="full · stdlib", tags=["tour"])
        lora_spec = {**LORA, "model": start}
        lora = runs.submit(
            project=project, spec=lora_spec, user=admin, name="lora r8 · stdlib", tags=["tour"], baseline=full
        )
        self.stdout.write(f"Queued runs {base.id}, {full.id} and {lora.id}. Watch them at {self._address()}")

    def _address(self) -> str:
        return f"http://127.0.0.1:{settings.PORT}/p/tour/runs/"
