"""kargoweb as a process: start it, send HTTP requests, stop or kill it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import urllib3

from tests.clusters import until
from tests.ports import free_port

DIGEST = re.compile(r"[0-9a-f]{64}")
TOKEN = re.compile(r"token: (\S+)")
ROOT = Path(__file__).resolve().parent.parent


class Product:
    """A serving process on a free port, with the database of the test session unless `environment` has another."""

    def __init__(self, kubeconfig: str | Path, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(30), maxsize=64)
        self.log_path = Path(tempfile.mkdtemp(prefix="kargoweb-log-")) / "log"
        self._kubeconfig = Path(kubeconfig)
        defaults = {
            "DJANGO_SETTINGS_MODULE": "kargoweb.settings",
            "KUBECONFIG": str(kubeconfig),
            "PORT": str(self.port),
            # On a busy machine a push may take longer than anyone would wait for it in production.
            "KARGOWEB_ANSWER_TIMEOUT": "30",
        }
        self._environment = os.environ | defaults | environment
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        self.http.clear()
        shutil.rmtree(self.log_path.parent)

    def migrate(self) -> None:
        """Migrate the database of the process."""
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=self._environment, check=True
        )

    def start(self, *, ready: bool = True) -> None:
        """Start the process and wait until it serves requests, or with `ready` until it accepts pushes."""
        self.launch()
        path = "/readyz" if ready else "/healthz"
        until(f"{path} is 200", lambda: self.status(path) == 200)

    def launch(self) -> None:
        """Start the process without waiting for it."""
        command = [sys.executable, "manage.py", "serve", "--no-migrate"]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> int:
        """Wait until the process exits by itself; return its exit code."""
        assert self._process
        return self._process.wait(60)

    def stop(self) -> int:
        """Stop the process with SIGTERM and return its exit code."""
        assert self._process
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(60)
        self.kill()
        self._assert_no_credentials()
        return code

    def _assert_no_credentials(self) -> None:
        """Fail if the log contains a digest, a Secret value or a token."""
        log = self.log()
        assert not DIGEST.search(log)
        assert "s3cret" not in log
        for token in TOKEN.findall(self._kubeconfig.read_text() if self._kubeconfig.exists() else ""):
            assert token not in log

    def kill(self) -> None:
        """Kill the whole process group, as if the node died."""
        assert self._process
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)

    @property
    def pids(self) -> list[int]:
        """The ids of the process and its children."""
        assert self._process
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return [self._process.pid, *map(int, children)]

    def log(self) -> str:
        """Return the log."""
        return self.log_path.read_text(errors="replace")

    def status(self, path: str) -> int:
        """Return the status of a GET; 0 if there is no response."""
        try:
            return self.http.request("GET", self.url + path).status
        except urllib3.exceptions.HTTPError:
            return 0

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        """GET `path`."""
        return self.http.request("GET", self.url + path)

    def post(
        self, path: str, body: Any = b"", headers: Mapping[str, str] | None = None, method: str = "POST"
    ) -> urllib3.BaseHTTPResponse:
        """POST `body` to `path` with Docker Hub's content type."""
        all_headers = {"Content-Type": "application/json", **(headers or {})}
        return self.http.request(method, self.url + path, body=body, headers=all_headers)
