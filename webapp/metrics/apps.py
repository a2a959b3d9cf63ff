from __future__ import annotations

from django.apps import AppConfig


class MetricsConfig(AppConfig):
    name = "webapp.metrics"

    def ready(self) -> None:
        """Brings `metrics.<name>` into the query language of runs, which lies in the layer below."""
        from webapp.metrics import querying
        from webapp.runs import language

        language.register(querying.FAMILY)
