"""Merging experts of one base, piece by piece: no model is in memory as a whole while weights are added."""
