"""Runs side by side: groups of seeds, intervals, differences to a baseline, fronts, and whether it was fair.

Pure functions on rows (webapp/sweeps/rows.py), which the page, the API and protocols share. `compared` is all of it.
"""

from webapp.sweeps.comparison.comparing import compared
from webapp.sweeps.comparison.grouping import Group, groups_of
from webapp.sweeps.comparison.question import Question
from webapp.sweeps.comparison.results import Comparison, Line

__all__ = ["Comparison", "Group", "Line", "Question", "compared", "groups_of"]
