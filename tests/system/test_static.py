"""Static files: production's, as `collectstatic` leaves them, and the joined stylesheet."""

import re
import subprocess
import sys
from pathlib import Path

from django.contrib.staticfiles import finders

from tests.system.test_settings import PRODUCTION, ROOT
from webapp.system.staticfiles import ALL_STYLES, StylesFinder, joined_styles


def test_modules_import_each_other_by_hashed_names_that_exist(tmp_path):
    environment = {"PATH": "/usr/bin:/bin", **PRODUCTION, "HONE_STATIC_ROOT": str(tmp_path), "HONE_HOME": str(tmp_path)}
    command = [sys.executable, "manage.py", "collectstatic", "--noinput", "-v", "0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=120)
    hashed = [path for path in (tmp_path / "js").glob("*.js") if re.search(r"\.[0-9a-f]{12}\.js$", path.name)]
    assert hashed
    imports = [(path, name) for path in hashed for name in re.findall(r'from\s*"(\./[^"]+)"', path.read_text())]
    assert imports
    for path, name in imports:
        assert re.search(r"\.[0-9a-f]{12}\.js$", name), f"{path.name} imports {name}"
        assert (path.parent / name).exists()
    assert next(tmp_path.glob("plotly.min.*.js.gz")).stat().st_size < 2_000_000
    assert "url(" in next((tmp_path / "css").glob("all.*.css")).read_text()


def test_the_stylesheet_is_found_by_who_comes_before_anybody_has_listed_it() -> None:
    Path(StylesFinder.storage.path(ALL_STYLES)).unlink(missing_ok=True)
    found = finders.find(ALL_STYLES)
    assert found is not None
    assert Path(found).read_text() == joined_styles()
