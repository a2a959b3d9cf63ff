#!/usr/bin/env python3
"""Django's command line: `python manage.py help` lists what there is."""

import os
import sys


def main() -> None:
    """A wrong setting or a broken installation is one sentence and exit status 1, never a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from webapp.system.errors import SetupError

    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, SetupError) as error:
        sys.exit(f"hone: {error}")


if __name__ == "__main__":
    main()
