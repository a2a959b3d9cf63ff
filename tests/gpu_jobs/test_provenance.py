"""What a run records of where it ran, against the system's own answers."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gpu_jobs.engine import provenance


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-q", "-m", "First")
    return tmp_path


def test_it_holds_what_is_promised_and_is_plain_json() -> None:
    found = provenance.collect(7)
    assert json.loads(json.dumps(found)) == found
    assert found["seed"] == 7 and found["python"] == platform.python_version()
    assert found["versions"]["torch"] == torch.__version__
    assert {"torch", "transformers", "peft", "numpy"} <= {
        name for name, version in found["versions"].items() if version
    }
    assert found["hostname"] == os.uname().nodename and found["cpu"]["cores"] == os.cpu_count()
    assert found["cpu"]["model"] and isinstance(found["gpus"], list)
    assert shlex.split(found["command"])[1:] == sys.orig_argv[1:]


def test_memory_is_what_the_kernel_says() -> None:
    kernel = Path("/proc/meminfo").read_text().splitlines()[0].split()
    assert kernel[0] == "MemTotal:" and provenance.collect(0)["memory_bytes"] == int(kernel[1]) * 1024


def test_the_commit_is_that_of_the_checkout(checkout: Path) -> None:
    assert provenance.git(checkout) == {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": False}


def test_a_changed_file_makes_it_dirty_and_an_unknown_one_does_not(checkout: Path) -> None:
    (checkout / "notes.txt").write_text("not of the code")
    assert provenance.git(checkout) == {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": False}
    provenance.git.cache_clear()
    (checkout / "code.py").write_text("2")
    assert provenance.git(checkout) == {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": True}


def test_a_package_that_lies_inside_someone_elses_checkout_names_no_commit(checkout: Path) -> None:
    (checkout / "site-packages").mkdir()
    assert provenance.git(checkout / "site-packages") is None


def test_the_environment_is_never_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONE_SECRET_KEY", "do-not-tell-4711")
    assert "do-not-tell-4711" not in json.dumps(provenance.collect(0))


def test_secrets_on_the_command_line_are_left_out() -> None:
    shown = provenance.command(
        ["celery", "-b", "redis://user:hunter2@host/0", "--token=abc123", "--api-key", "xyz789", "--seed", "3"]
    )
    assert not [secret for secret in ("hunter2", "abc123", "xyz789") if secret in shown]
    assert shown == "celery -b 'redis://***@host/0' '--token=***' --api-key '***' --seed 3"


@pytest.mark.gpu
def test_gpus_are_those_that_torch_sees() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    found = provenance.collect(0)
    assert [gpu["name"] for gpu in found["gpus"]] == [
        torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())
    ]
    assert found["driver"]
