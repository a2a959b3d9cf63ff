"""Settings come from the environment only, each one documented; production refuses to guess."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "HONE_ENV": "production",
    "HONE_SECRET_KEY": "k9!v2#" * 12 + "abcdefghijklmnopqrstuvwxyz",
    "HONE_ALLOWED_HOSTS": "hone.example",
    "DATABASE_URL": "postgresql://hone@/hone",
    "REDIS_URL": "redis://localhost:6379/0",
}


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_every_setting_in_the_code_is_documented_and_every_documented_one_is_used():
    sources = [path for top in ("webapp", "workers", "gpu_jobs", "hone") for path in (ROOT / top).rglob("*.py")]
    used = set(re.findall(r"\"((?:HONE_[A-Z_]+)|DATABASE_URL|REDIS_URL)\"", "\n".join(p.read_text() for p in sources)))
    documented = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
    assert used == documented


def test_production_settings_pass_the_deployment_check():
    done = manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert done.returncode == 0, done.stderr


def test_production_names_each_missing_secret_in_one_sentence():
    for name in ("HONE_SECRET_KEY", "DATABASE_URL", "REDIS_URL", "HONE_ALLOWED_HOSTS"):
        done = manage("check", **{key: value for key, value in PRODUCTION.items() if key != name})
        assert done.returncode == 1
        assert done.stderr == f"hone: {name} must be set when HONE_ENV=production.\n"


def test_a_number_that_is_none_is_refused_by_name(tmp_path):
    done = manage("check", HONE_PORT="eight", HONE_HOME=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "hone: HONE_PORT must be a whole number, not 'eight'.\n"
