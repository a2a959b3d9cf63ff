"""Static files: plotly.min.js out of its wheel, so that no vendored script lies in the repository; hashed names."""

from __future__ import annotations

from pathlib import Path

import plotly
from django.contrib.staticfiles.finders import BaseStorageFinder
from django.core.files.storage import FileSystemStorage
from servestatic.storage import CompressedManifestStaticFilesStorage


class PlotlyFinder(BaseStorageFinder):
    """Finds `plotly.min.js` only: the wheel's package_data folder holds nothing else that pages need."""

    storage = FileSystemStorage(location=Path(plotly.__file__).parent / "package_data")

    def list(self, ignore_patterns):  # type: ignore[no-untyped-def]
        yield "plotly.min.js", self.storage


class HashedStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Names with a hash of the content, for browsers to keep forever; also inside the `import` lines of ES modules."""

    support_js_module_import_aggregation = True
    # Our own modules only: a wheel's script may import what lies elsewhere.
    _js_module_import_aggregation_patterns = (
        "js/*.js",
        CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns[1],
    )
