"""Scaling laws: fits that are revised as runs land, and ladders that queue the runs."""
