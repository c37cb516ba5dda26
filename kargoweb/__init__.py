"""The Django project: settings, URLs and the WSGI application. No behavior."""

from typing import Final

VERSION: Final = "0.1.0"  # same as in pyproject.toml, which the container image does not include
