"""An OpenID Connect provider on a socket, as a process: `python -m tests.accounts.oidc_provider PORT`.

It insists on PKCE in addition, and responds with 503 between a POST to /away and one to /back.
"""

from __future__ import annotations

import base64
import hashlib
import io
import subprocess
import sys
from collections.abc import Iterable
from typing import Any, Self
from urllib.parse import parse_qs

import urllib3

from tests.clusters import ROOT, until
from tests.ports import free_port


class OidcProvider:
    """The provider's process."""

    def __init__(self) -> None:
        self._port = free_port()
        self.url = f"http://localhost:{self._port}"

    def __enter__(self) -> Self:
        # Its libraries warn of one another.
        command = [sys.executable, "-W", "ignore", "-m", "tests.accounts.oidc_provider", str(self._port)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until("the provider responds", self._responds)
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.wait()

    def add(self, subject: str, **claims: Any) -> None:
        """Add a user, or change the claims of one."""
        response = urllib3.request("PUT", f"{self.url}/users/{subject}", json=claims)
        assert response.status == 204, response.data

    def away(self) -> None:
        """Respond with 503 from now on."""
        assert urllib3.request("POST", f"{self.url}/away").status == 204

    def back(self) -> None:
        """Respond again."""
        assert urllib3.request("POST", f"{self.url}/back").status == 204

    def _responds(self) -> bool:
        assert self._process.poll() is None
        try:
            return urllib3.request("GET", self.url, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False


class StrictProvider:
    """The WSGI application of the process."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._away = False
        self._challenges: set[str] = set()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in {"/away", "/back"}:
            self._away = path == "/away"
            start_response("204 No Content", [])
            return []
        if self._away:
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return []
        if path == "/oauth2/authorize":
            query = parse_qs(environ["QUERY_STRING"])
            assert query["code_challenge_method"] == ["S256"]
            self._challenges.update(query["code_challenge"])
        if path == "/oauth2/token":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            environ["wsgi.input"] = io.BytesIO(body)
            [verifier] = parse_qs(body.decode())["code_verifier"]
            digest = hashlib.sha256(verifier.encode()).digest()
            assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() in self._challenges
        response: Iterable[bytes] = self._application(environ, start_response)
        return response


def main() -> None:
    """Serve until the process is stopped."""
    import oidc_provider_mock
    import werkzeug.serving

    application = StrictProvider(oidc_provider_mock.app())
    werkzeug.serving.run_simple("localhost", int(sys.argv[1]), application, threaded=True)


if __name__ == "__main__":
    main()
