"""Media series: pictures and histograms that a run logs at steps."""
