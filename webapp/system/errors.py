"""Failures of the installation itself. Each is one sentence that says what to change."""


class SetupError(Exception):
    """Shown as it is, with exit status 1 and no traceback."""
