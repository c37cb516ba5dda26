"""Reads JFrog Artifactory's webhooks about pushed images and charts.

Source: Kargo's `pkg/webhook/external/artifactory.go`. https://jfrog.com/help/r/jfrog-platform-administration-documentation/webhooks
describes the events, and `X-JFrog-Event-Auth`.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from receivers.kargo import responses
from receivers.kargo.golang import gourl
from receivers.kargo.golang.gojson import JsonType, Shape
from receivers.kargo.kinds.decoding import decode
from receivers.kargo.kinds.events import Cause, Refused
from receivers.kargo.kinds.signatures import as_bytes, missing, unauthorized
from receivers.kargo.kinds.webhook_request import WebhookRequest
from receivers.kargo.push import Push
from receivers.kargo.repository_names import normalize_chart, normalize_image

SIGNATURE: Final = "X-JFrog-Event-Auth"
_NOT_IMPLEMENTED: Final = 501
_TEXT: Final = JsonType.TEXT
_SHAPE: Final[Shape] = {
    "domain": _TEXT,
    "event_type": _TEXT,
    "jpd_origin": _TEXT,
    "data": {"image_type": _TEXT, "path": _TEXT, "repo_key": _TEXT, "tag": _TEXT},
}
_NORMALIZE: Final = {"docker": normalize_image, "oci": normalize_chart}


def authenticate(request: WebhookRequest, secret: bytes) -> None:
    """Raise `Refused` unless the header is the signature of the body with the Secret, in lower-case hexadecimal."""
    given = request.headers.first(SIGNATURE)
    if not given:
        raise missing("signature", f"the header {SIGNATURE} is missing")
    if not hmac.compare_digest(as_bytes(given), _signature(request.body, secret).encode()):
        raise unauthorized(
            f"{SIGNATURE} doesn't match the body and the receiver's Secret; is the webhook's Secret token used "
            f'"for payload signing"?'
        )


def read(request: WebhookRequest) -> Push:
    """Return the push. Raise `InvalidBody` or `Refused` as Kargo does."""
    document = decode(request.body, _SHAPE)
    data = document.get("data", {})
    if document.get("domain") != "docker" or document.get("event_type") != "pushed":
        raise _unsupported("event type must be 'pushed' and domain must be 'docker'")
    image_type = data.get("image_type", "")
    if image_type not in _NORMALIZE:
        raise _unsupported(f'unsupported image type "{image_type}"')
    origin, path = document.get("jpd_origin", ""), data.get("path", "")
    try:
        host = gourl.parse(origin).host.encode("latin-1").decode("utf-8", "replace")
    except ValueError:
        raise _invalid(origin, "jpd_origin") from None
    if "/" not in path:
        raise _invalid(path, "data.path")
    repo_key = request.options.get("virtualRepoName") or data.get("repo_key", "")
    # The last two sections are the tag, or the digest, and the manifest.
    url = "/".join((host, repo_key, *path.split("/")[:-2]))
    return Push(url, data.get("tag", ""), normalized=(_NORMALIZE[image_type](url),))


def _signature(body: bytes, secret: bytes) -> str:
    return hmac.new(secret, body, sha256).hexdigest()


def _unsupported(text: str) -> Refused:
    return Refused(responses.refused(_NOT_IMPLEMENTED, text), Cause.EVENT, text)


def _invalid(value: str, field: str) -> Refused:
    text = f'invalid value "{value}" in payload\'s {field} field'
    return Refused(responses.refused(400, text), Cause.BODY, text)


def compose(push: Push) -> bytes:
    """Return the body of Artifactory's event for a pushed image whose `repository` is `host/repository key/name`."""
    host, _, rest = push.repository.partition("/")
    repo_key, _, image = rest.partition("/")
    body = {
        "domain": "docker",
        "event_type": "pushed",
        "data": {
            "image_name": image,
            "image_type": "docker",
            "name": "manifest.json",
            "path": f"{image}/{push.tag}/manifest.json",
            "repo_key": repo_key,
            "tag": push.tag,
        },
        "jpd_origin": f"https://{host}",
    }
    return json.dumps(body).encode()


def compose_headers(push: Push, body: bytes, secret: bytes) -> Mapping[str, str]:
    """Return the headers that Artifactory sends."""
    return {"User-Agent": "JFrog Event", SIGNATURE: _signature(body, secret)}
