"""The Django project: settings, URLs, middleware and the WSGI application."""

from typing import Final

VERSION: Final = "0.1.0"  # same as in pyproject.toml, which the container image does not include
