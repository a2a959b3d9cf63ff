"""Studies with rules of their own: `plan(knobs) -> list of sweep requests`, `analyse(knobs, rows) -> result`."""
