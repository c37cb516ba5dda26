"""Settings for tests: a private data directory and database, shared with the servers that the tests start."""

import os
import tempfile
import uuid
from urllib.parse import urlsplit

os.environ["KARGOWEB_DATA_DIR"] = tempfile.mkdtemp(prefix="kargoweb-test-")
os.environ["KARGOWEB_SECRET_KEY"] = "only-for-tests-only-for-tests-only-for-tests-50-chars"
# DATABASE_URL names the PostgreSQL server; each process creates its own database there. pytest-xdist's workers inherit
# the environment, in which DATABASE_URL already names the controller's database: they need the original value.
SERVER_URL = os.environ.setdefault("TEST_DATABASE_SERVER", os.environ.get("DATABASE_URL", ""))
if SERVER_URL.startswith("postgres"):
    os.environ["DATABASE_URL"] = (
        urlsplit(SERVER_URL)._replace(path=f"/kargoweb_test_{uuid.uuid4().hex}").geturl()
    )
else:
    os.environ.pop("DATABASE_URL", None)  # never the user's own file: SQLite in the data directory

from kargoweb.settings import *  # noqa: E402, F403 - after the environment is set

# Find static files when they are requested: each of Django's test clients would list them all, which takes as long as a
# page.
WHITENOISE_AUTOREFRESH = True
