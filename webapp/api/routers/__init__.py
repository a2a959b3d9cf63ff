"""One file per resource: guard, act, answer."""
