"""Figures, one per file: `data(...)` reads rows into a NamedTuple, `figure(data)` makes a Plotly figure (dicts) of it.

A figure holds no colour and no font: wherever one is wanted stands the name of a CSS variable, "--series-1", or with an
opacity "--series-1/0.3". static/js/figure.js puts in what the page's theme says, again after every change of theme.
Traces are plain: a page may append points to `data[i]["x"]` and `["y"]` and draw again.
"""
