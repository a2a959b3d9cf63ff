"""Fits scaling laws: one vectorised fitter for all of `methods/laws`. numpy and scipy; never torch.

points -> problem (residuals and exact gradients of many parameter vectors at once) -> starts (the whole grid is scored,
the best are descended) -> minima -> bootstrap (all resamples at once) -> doubts, predictions, frontier -> job.
"""
