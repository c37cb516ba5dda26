#!/usr/bin/env python
"""Django's command line."""

import os
import sys

from django.core.management import execute_from_command_line
from django.db import Error

from kargoweb.database import describe_error

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kargoweb.settings")
    try:
        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell says it: no traceback for Ctrl-C
    except Error as error:
        print(describe_error(error), file=sys.stderr)  # noqa: T201 - the settings may not have been loaded
        sys.exit(3)
