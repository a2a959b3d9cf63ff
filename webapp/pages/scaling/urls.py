"""The addresses below a project's scaling laws."""

from __future__ import annotations

from importlib.util import find_spec

from django.urls import URLPattern, URLResolver, include, path

from webapp.pages.views import fit, fit_actions, fit_figures, fit_new, fits_compare, scaling

LADDERS = "webapp.pages.scaling.ladder_urls"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", scaling.scaling, name="scaling"),
    path("new/", fit_new.new, name="fit-new"),
    path("new/preview/", fit_new.preview, name="fit-preview"),
    path("compare/", fits_compare.compare, name="fits-compare"),
    path("compare/figures/<str:chart>/", fits_compare.figure, name="fits-figure"),
    path("fits/<int:fit_id>/", fit.charts, name="fit"),
    path("fits/<int:fit_id>/numbers/", fit.numbers, name="fit-numbers"),
    path("fits/<int:fit_id>/points/", fit.points, name="fit-points"),
    path("fits/<int:fit_id>/revisions/", fit.revisions, name="fit-revisions"),
    path("fits/<int:fit_id>/spec/", fit.spec, name="fit-spec"),
    path("fits/<int:fit_id>/head/", fit.head, name="fit-head"),
    path("fits/<int:fit_id>/figures/<str:chart>/", fit_figures.figure, name="fit-figure"),
    path("runs/<int:run_id>/figures/<str:chart>/", fit_figures.of_run, name="fit-run-figure"),
    path("fits/<int:fit_id>/export/<str:form>/", fit_figures.export, name="fit-export"),
    path("fits/<int:fit_id>/edit/", fit_new.edit, name="fit-edit"),
    path("fits/<int:fit_id>/revise/", fit_actions.revise, name="fit-revise"),
    path("fits/<int:fit_id>/keep/", fit_actions.keep, name="fit-keep"),
    path("fits/<int:fit_id>/delete/", fit_actions.delete, name="fit-delete"),
]
if find_spec(LADDERS):
    urlpatterns.append(path("", include(LADDERS)))
