"""Static files: all stylesheets as one, the whole plotly.min.js out of its wheel, hashed names, what modules import."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import plotly
from django.conf import settings
from django.contrib.staticfiles.finders import BaseStorageFinder
from django.core.files.storage import FileSystemStorage
from servestatic.storage import CompressedManifestStaticFilesStorage

FIRST_STYLESHEETS = ("tokens", "base", "frame")
ALL_STYLES = "css/all.css"
IMPORT = re.compile(r"""^(?:import|export)\s(?:[^;"']*?from\s)?\s*["']\./([^"']+)["']""", re.MULTILINE)


class PlotlyFinder(BaseStorageFinder):
    """Finds `plotly.min.js` only: the wheel's package_data folder holds nothing else that pages need."""

    storage = FileSystemStorage(location=Path(plotly.__file__).parent / "package_data")

    def list(self, ignore_patterns):  # type: ignore[no-untyped-def]
        yield "plotly.min.js", self.storage


class StylesFinder(BaseStorageFinder):
    """Finds `css/all.css`, written anew whenever it is listed: a page waits for one file and not for forty.

    Who looks for it before anybody has listed it (a server of Django's own) finds it too.
    """

    storage = FileSystemStorage(location=settings.HONE_HOME / "assets")

    def list(self, ignore_patterns):  # type: ignore[no-untyped-def]
        self._write()
        yield ALL_STYLES, self.storage

    def find(self, path, *args, **kwargs):  # type: ignore[no-untyped-def]
        if path == ALL_STYLES and not self.storage.exists(path):
            self._write()
        return super().find(path, *args, **kwargs)

    def _write(self) -> None:
        path = Path(self.storage.path(ALL_STYLES))
        path.parent.mkdir(parents=True, exist_ok=True)
        written = path.with_suffix(f".{os.getpid()}")
        written.write_text(joined_styles())
        written.replace(path)


class HashedStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Names with a hash of the content, for browsers to keep forever; also inside the `import` lines of ES modules."""

    support_js_module_import_aggregation = True
    # Our own modules only: a wheel's script may import what lies elsewhere.
    _js_module_import_aggregation_patterns = (
        "js/*.js",
        CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns[1],
    )


def stylesheets() -> list[str]:
    """Every file of static/css, so that a new component is one file; tokens, base and frame come first."""
    names = {path.stem for path in (settings.BASE_DIR / "static" / "css").glob("*.css")}
    return [f"css/{name}.css" for name in (*FIRST_STYLESHEETS, *sorted(names.difference(FIRST_STYLESHEETS)))]


def joined_styles() -> str:
    return "\n".join((settings.BASE_DIR / "static" / name).read_text() for name in stylesheets())


@cache
def modules_of(entry: str) -> tuple[str, ...]:
    """The module static/js/<entry> and all that it imports, however far: none is found only when another has come."""
    return tuple(dict.fromkeys(_imports(entry, set())))


def _imports(name: str, seen: set[str]) -> Iterator[str]:
    if name in seen:
        return
    seen.add(name)
    yield f"js/{name}"
    for imported in IMPORT.findall((settings.BASE_DIR / f"static/js/{name}").read_text()):
        yield from _imports(imported, seen)
