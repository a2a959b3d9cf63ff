"""Settings read from the environment. Each name stands in .env.example, which a test compares with this file."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parent.parent


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def integer(name: str, default: int) -> int:
    """Raises ImproperlyConfigured with the name and the value when it is not a whole number."""
    value = text(name, str(default))
    try:
        return int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None


def words(name: str, default: str = "") -> list[str]:
    return [word for word in text(name, default).replace(",", " ").split() if word]


def required(name: str) -> str:
    """Raises ImproperlyConfigured when it is unset: production never falls back to a default secret or server."""
    value = text(name)
    if not value:
        raise ImproperlyConfigured(f"{name} must be set when HONE_ENV=production.")
    return value


def is_production() -> bool:
    return text("HONE_ENV", "local") == "production"


def home() -> Path:
    return Path(text("HONE_HOME", str(ROOT / ".hone"))).expanduser().resolve()


def run_dir() -> Path:
    """The folder of the embedded servers' Unix sockets."""
    return home() / "run"


def database_url() -> str:
    """`DATABASE_URL`, or the embedded server's socket under `HONE_HOME` (same answer whether it runs or not)."""
    if is_production():
        return required("DATABASE_URL")
    return text("DATABASE_URL", f"postgresql://hone@/hone?host={quote(str(run_dir()), safe='')}")


def redis_url() -> str:
    if is_production():
        return required("REDIS_URL")
    return text("REDIS_URL", f"unix://{run_dir() / 'redis.sock'}")


def broker_url(redis_url: str) -> str:
    """Celery's spelling of a Redis URL: sockets are `redis+socket://`."""
    return redis_url.replace("unix://", "redis+socket://", 1)


def secret_key() -> str:
    """`HONE_SECRET_KEY`, or the key that `manage.py up` wrote into `HONE_HOME` (mode 0600), created when missing."""
    if is_production():
        return required("HONE_SECRET_KEY")
    return text("HONE_SECRET_KEY") or _local_secret(home() / "secret-key")


def _local_secret(path: Path) -> str:
    from django.core.management.utils import get_random_secret_key

    if not path.exists():
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_text()
        except OSError as error:
            raise ImproperlyConfigured(f"HONE_HOME {path.parent} is not writable: {error.strerror}.") from None
        with os.fdopen(descriptor, "w") as file:
            file.write(get_random_secret_key())
    return path.read_text()
