"""Certificates of loopback servers, by an authority of the tests.

Created for tests only, and valid for a century. The key of the authority was deleted.
"""

from pathlib import Path

_DIRECTORY = Path(__file__).parent
CA = _DIRECTORY / "ca.pem"
SERVER = _DIRECTORY / "server.pem"
"""For 127.0.0.1 and api.test, with its key."""
CLIENT = _DIRECTORY / "client.pem"
