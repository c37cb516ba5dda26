"""Programs that use the API with a token."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from receivers.accounts import tokens
from receivers.models import TokenScope
from tests.product import Product
from tests.users import create_user


class Program:
    """Sends requests with a new token of a new user in these groups."""

    def __init__(
        self, product: Product, *groups: str, scope: TokenScope = TokenScope.OPERATE, project: str = ""
    ) -> None:
        self.product = product
        self.user = create_user(*groups)
        self.token_row, self.token = tokens.create(self.user, "ci", scope, project=project)

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        """Return the JSON of a response, which must have this status."""
        return self.send("GET", f"{path}?{urlencode(query)}" if query else path, None, status)

    def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        """Post JSON; return the JSON of the response, which must have this status."""
        return self.send("POST", path, body, status)

    def send(self, method: str, path: str, body: Any, status: int) -> Any:
        """Send JSON, if `body` is not None; return the JSON of the response, None if it has no body."""
        headers = {"Authorization": f"Bearer {self.token}"}
        content = None
        if body is not None:
            headers["Content-Type"], content = "application/json", json.dumps(body)
        response = self.product.http.request(
            method, f"{self.product.url}/api/v1/{path}", body=content, headers=headers
        )
        assert response.status == status, response.data.decode()
        assert response.headers["Cache-Control"] == "no-store"
        return json.loads(response.data) if response.data else None
