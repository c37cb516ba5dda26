"""Wiring: settings, addresses, the application that is served."""

from typing import Final

VERSION: Final = "0.1.0"  # as in pyproject.toml, which an image does not have
