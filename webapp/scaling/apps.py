"""Says to webapp.runs what must happen to a scaling fit before it is queued."""

from __future__ import annotations

from django.apps import AppConfig


class ScalingConfig(AppConfig):
    name = "webapp.scaling"

    def ready(self) -> None:
        """Imports what needs the models, which are there now."""
        from webapp.runs import preparing
        from webapp.scaling import lookup

        preparing.register("scaling_fit", lookup.prepare)
