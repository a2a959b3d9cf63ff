"""A table of runs with what they measured, beyond one page of it: as a file, and put together in groups."""
