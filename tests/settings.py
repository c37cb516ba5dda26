"""Settings for tests: a data directory and a database of their own, shared with the servers that tests start."""

import os
import tempfile
import uuid
from urllib.parse import urlsplit

os.environ["KARGOWEB_DATA_DIR"] = tempfile.mkdtemp(prefix="kargoweb-test-")
os.environ["KARGOWEB_SECRET_KEY"] = "only-for-tests-only-for-tests-only-for-tests-50-chars"
# DATABASE_URL names the PostgreSQL server to test on; every session makes a database of its own there.
# Processes that share out one run inherit what the first one has made of it.
SERVER_URL = os.environ.setdefault("TEST_DATABASE_SERVER", os.environ.get("DATABASE_URL", ""))
if SERVER_URL.startswith("postgres"):
    os.environ["DATABASE_URL"] = (
        urlsplit(SERVER_URL)._replace(path=f"/kargoweb_test_{uuid.uuid4().hex}").geturl()
    )

from kargoweb.settings import *  # noqa: E402, F403
