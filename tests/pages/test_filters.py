from __future__ import annotations

import math
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from webapp.pages.templatetags import hone
from webapp.system import staticfiles


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (950, "950"), (1000, "1k"), (999_900, "1 M"), (41_200, "41.2k"), (35_100_000, "35.1 M"), (18e9, "18 B"),
     (-1500, "-1.5k"), (3.1e15, "3.1e15"), (0.0125, "0.0125"), (None, "")],
)  # fmt: skip
def test_si_keeps_three_digits_and_a_prefix(value: float | None, text: str) -> None:
    assert hone.si(value) == text


@given(st.floats(1, 9e14))
def test_si_can_be_read_back_within_half_a_percent(value: float) -> None:
    text = hone.si(value)
    scale = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(text[-1], 1)
    assert float(text.rstrip("kMBT ")) * scale == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1024**2 * 1.5, "1.5 MiB"), (1024**3 * 1.9, "1.9 GiB"),
     (80 * 1024**3, "80.0 GiB"), (1024**4 * 2, "2.0 TiB")],
)  # fmt: skip
def test_bytes_are_binary_units(value: float, text: str) -> None:
    assert hone.bytes_(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "00:00"), (0.42, "0.4 s"), (51, "00:51"), (252, "04:12"), (3723, "1:02:03"), (2 * 86400 + 3720, "2 d 01:02"),
     (timedelta(minutes=3), "03:00")],
)  # fmt: skip
def test_durations_read_like_a_clock(value: float, text: str) -> None:
    assert hone.duration(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.41234, "1.412"), (math.nan, "NaN"), (math.inf, "∞"), (-math.inf, "-∞"), (2.9e-5, "2.9e-5"), (3e15, "3e15")],
)
def test_metrics_show_what_json_can_not_hold(value: float, text: str) -> None:
    assert hone.metric(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.0084, "0.84 %"), (1, "100 %"), (0.119, "11.9 %"), (0, "0 %")])
def test_percent_is_a_share_of_one(value: float, text: str) -> None:
    assert hone.percent(value) == text


@pytest.mark.parametrize(
    ("age_s", "text"), [(0.1, "now"), (4, "4 s ago"), (190, "3 min ago"), (7300, "2 h ago"), (190_000, "2 d ago")]
)
def test_ago_uses_one_unit(age_s: float, text: str) -> None:
    assert f">{text}</time>" in hone.ago(timezone.now() - timedelta(seconds=age_s))


def test_ago_of_nothing_is_never() -> None:
    assert hone.ago(None) == "never"


def test_docstring_sets_indented_blocks_as_equations_and_escapes_all() -> None:
    html = hone.docstring("    y = <W> x\n      + b\n\nwith `rank` < 3")
    assert '<pre class="equation">y = &lt;W&gt; x\n  + b</pre>' in html
    assert "<p>with <code>rank</code> &lt; 3</p>" in html


def test_every_stylesheet_is_in_the_one_that_pages_link_and_the_tokens_come_first() -> None:
    assert hone.stylesheets().count("<link") == 1 and "/css/all.css" in hone.stylesheets()
    joined, folder = staticfiles.joined_styles(), hone.settings.BASE_DIR / "static/css"
    assert all(path.read_text() in joined for path in folder.glob("*.css"))
    assert joined.startswith((folder / "tokens.css").read_text())


def test_a_module_comes_with_all_that_it_imports() -> None:
    html = hone.module("run.js")
    for imported in ("panels", "panel", "series", "plotly", "turns"):  # at one remove, two, three
        assert f'rel="modulepreload" href="{hone.static(f"js/{imported}.js")}"' in html
    assert html.count("js/plotly.js") == 1
    assert html.endswith(f'<script src="{hone.static("js/run.js")}" type="module"></script>')
