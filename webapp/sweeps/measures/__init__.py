"""The mathematics that protocols share, one measure a file: pure functions of numbers, known to no database."""
