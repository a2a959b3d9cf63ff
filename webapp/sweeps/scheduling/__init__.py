"""Schedules: when to queue a run or a sweep, and what became of each time that came."""
