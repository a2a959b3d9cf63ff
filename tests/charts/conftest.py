from tests.metrics.conftest import run

__all__ = ["run"]
